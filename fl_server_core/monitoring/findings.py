"""What a look at the parts of the server found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """How one part is. is_ok: None where it can't be told. detail: for the operator, with addresses and errors."""

    is_ok: bool | None
    detail: str = ""


Findings = Mapping[str, Finding]
OK = Finding(True)


def failing(error: Exception) -> Finding:
    """A part that raised an error."""
    return Finding(False, f"{type(error).__name__}: {error}".strip())
