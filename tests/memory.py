"""How much memory a process has of its own."""

from __future__ import annotations

import re
from pathlib import Path


def anonymous_memory(pid: int | str = "self") -> int:
    """Bytes that are no pages of files: what the process has allocated and touched."""
    found = re.search(r"^RssAnon:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
