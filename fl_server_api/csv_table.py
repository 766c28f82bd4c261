"""Tables as CSV that a spreadsheet can open without harm."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import IO

CSV = "text/csv; charset=utf-8"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def cell(value: object) -> str:
    """What stands in a cell: times in UTC, structures as JSON, nothing for None.

    A spreadsheet would run text that begins like a formula: it gets an apostrophe in front. Numbers stay as they are.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def write_csv(body: IO[bytes], headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a line of headings and one for each row."""
    text = io.TextIOWrapper(body, encoding="utf-8", errors="backslashreplace", newline="")
    writer = csv.writer(text)
    writer.writerow([cell(heading) for heading in headings])
    writer.writerows([cell(value) for value in row] for row in rows)
    text.detach()  # flushes, and leaves the file open


def attachment(filename: str) -> dict[str, str]:
    """The header by which a browser saves an answer under this name."""
    return {"Content-Disposition": f'attachment; filename="{filename}"'}
