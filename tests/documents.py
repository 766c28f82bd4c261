"""The programs that the documentation shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
_WITHOUT_DJANGO = """
import runpy, sys
sys.modules["django"] = None
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def python_blocks(document: str) -> list[str]:
    """The blocks of Python in a file of docs/, in order."""
    return re.findall(r"^```python\n(.*?)^```", (REPOSITORY / "docs" / document).read_text(), re.DOTALL | re.MULTILINE)


def execute(block: str) -> None:
    """Run a block in this process, as a module of its own."""
    exec(compile(block, "block", "exec", dont_inherit=True), {"__name__": "block"})


def run_without_django(program: Path, *arguments: str | Path) -> str:
    """What a program prints that finds this project and its own folder, but no Django."""
    path = os.pathsep.join([str(REPOSITORY), str(program.parent)])
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_DJANGO, str(program), *map(str, arguments)],
        cwd=program.parent,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr
