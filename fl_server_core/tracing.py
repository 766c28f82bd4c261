"""Spans of what this server does. They cost nothing until `fl_server.telemetry.tracing` has turned traces on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any


@dataclass
class _Hooks:
    """What OpenTelemetry does for us; here is nothing of it, so that nobody needs to have it."""

    span: Callable[[str, Mapping[str, Any]], AbstractContextManager[object]] | None = None
    own_trace: Callable[[str, Mapping[str, Any]], AbstractContextManager[object]] | None = None
    ids: Callable[[], dict[str, str]] = field(default=dict)
    headers: Callable[[], dict[str, str]] = field(default=dict)


hooks = _Hooks()


def span(name: str, **attributes: Any) -> AbstractContextManager[object]:
    """A part of the trace under way. Attributes that are None are left out."""
    return nullcontext() if hooks.span is None else hooks.span(name, attributes)


def own_trace(name: str, **attributes: Any) -> AbstractContextManager[object]:
    """The first part of a trace of its own, which links to the span under way."""
    return nullcontext() if hooks.own_trace is None else hooks.own_trace(name, attributes)


def trace_ids() -> dict[str, str]:
    """trace_id and span_id of the span under way, in hexadecimal; none without traces."""
    return hooks.ids()


def trace_headers() -> dict[str, str]:
    """What tells the receiver of a notification which trace it belongs to: none, unless the operator wants it."""
    return hooks.headers()
