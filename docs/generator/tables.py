"""Markdown that the other modules share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty if there are no rows."""
    lines = [_line(row) for row in rows]
    return "\n".join([_line(heads), _line(["---"] * len(heads)), *lines]) + "\n" if lines else ""


def code(value: object) -> str:
    """As code, if there is anything to show."""
    return f"`{value}`" if str(value) else ""


def plain(text: str) -> str:
    """A docstring or a comment as one paragraph of Markdown: no tags, no stray emphasis."""
    words = " ".join(text.split()).replace("``", "`")
    parts = re.split(r"(`[^`]*`)", words)
    return "".join(part if part.startswith("`") else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return re.sub(r"([<>*_\[\]{}])", r"\\\1", text)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
