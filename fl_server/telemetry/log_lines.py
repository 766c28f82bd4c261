"""How a line of the log is written: as JSON, or as text for people. docs/logging.md says what is in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

from structlog.contextvars import merge_contextvars
from structlog.processors import format_exc_info
from structlog.stdlib import ExtraAdder, ProcessorFormatter

from fl_server_core.log_context import IDS

Line = MutableMapping[str, Any]
OF_ACCESS = ("method", "path", "route", "status", "duration_ms", "bytes_in", "bytes_out", "address", "aborted")
TRACE = ("trace_id", "span_id")
FIELDS = (*OF_ACCESS, *IDS, *TRACE)
"""What may stand in a line after the message, in this order."""
MOST_CHARACTERS = 16_384
"""Of one value; a traceback keeps its end, which says what went wrong."""
KEPT = "_fl_server_line"
"""The attribute of a record that keeps its line."""
_PLAIN = re.compile(r"[^\s\"'=]+")


class LineFormatter(ProcessorFormatter):
    """Formats a record once: stderr, the file, and the file's look at its size would each ask for it."""

    def format(self, record: logging.LogRecord) -> str:
        known: tuple[LineFormatter, str] | None = getattr(record, KEPT, None)
        if known is None or known[0] is not self:
            known = self, super().format(record)
            setattr(record, KEPT, known)
        return known[1]


def line_formatter(style: str) -> logging.Formatter:
    """The formatter of all handlers. style: json or text."""
    return LineFormatter(
        foreign_pre_chain=[ExtraAdder(allow=FIELDS), _add_context, _add_trace, format_exc_info],
        processors=[_of_record, _as_json if style == "json" else _as_text],
    )


def _add_context(logger: Any, method: str, line: Line) -> Line:
    """What the caller passes for a line takes precedence over bound ids."""
    merged: Line = merge_contextvars(logger, method, line)
    return merged


def _add_trace(_logger: Any, _method: str, line: Line) -> Line:
    """The ids of the span under way, where traces are on."""
    from fl_server_core.tracing import trace_ids

    line.update(trace_ids())
    return line


def _of_record(_logger: Any, _method: str, line: Line) -> Line:
    """All fields, in order, under their names in JSON."""
    record: logging.LogRecord = line["_record"]
    fields: Line = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": _short(line["event"]),
    }
    fields.update({name: _short(line[name]) for name in FIELDS if name in line})
    if line.get("exception"):
        fields["exception"] = str(line["exception"])[-MOST_CHARACTERS:]
    return fields


def _short(value: object) -> object:
    if isinstance(value, int | float | None):
        return value
    text = str(value)
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"


def _as_json(_logger: Any, _method: str, line: Line) -> str:
    """In ASCII: whatever somebody wrote into a name is escaped, also line ends and control sequences of terminals."""
    return json.dumps(line, default=str).replace("\x7f", "\\u007f")


def _as_text(_logger: Any, _method: str, line: Line) -> str:
    """One line. The lines of a traceback follow, indented, so that none passes for a line of the log."""
    head = f"{line['time']} {line['level'].upper():<8} {line['logger']}: {escaped(str(line['message']))}"
    fields = [f"{name}={_value(line[name])}" for name in FIELDS if name in line and not _is_said(name, line)]
    traceback = [f"\n    | {escaped(part)}" for part in str(line.get("exception", "")).split("\n") if part]
    return " ".join([head, *fields]) + "".join(traceback)


def _is_said(name: str, line: Mapping[str, Any]) -> bool:
    """Does the message of a request's line already say this?"""
    return name in ("method", "path", "status") and "duration_ms" in line


def _value(value: object) -> str:
    text = escaped(str(value))
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def escaped(text: str) -> str:
    """The text with what isn't printed, or moves what is, as Python writes it: \\n, \\x1b, \\u202e."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
