"""How spans go out. Imported only where traces are on."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from time import monotonic
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

SILENT_TASKS = ("fl_server_ai.trainer.tasks.seal",)
"""They run every few seconds, and would hide the other traces."""
LAST_SECONDS = 3.0


class Exporter(OTLPSpanExporter):
    """Ends in time: where the collector is away, each batch that waits would cost the time limit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._ends, self._has_failed = inf, False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if monotonic() >= self._ends:
            return SpanExportResult.FAILURE
        result = super().export(spans)
        self._has_failed = result is not SpanExportResult.SUCCESS
        return result

    def end_soon(self) -> None:
        """Begin no more exports after `LAST_SECONDS`; at once, if the last one failed: the next would, too."""
        self._ends = monotonic() if self._has_failed else min(self._ends, monotonic() + LAST_SECONDS)
        if self._has_failed:
            self.shutdown()  # type: ignore[no-untyped-call]  # wakes the export that waits for its next try


class Spans(BatchSpanProcessor):
    """Sends spans in batches; at a stop for no longer than `LAST_SECONDS`, and what the last batch takes."""

    def __init__(self, exporter: Exporter) -> None:
        super().__init__(exporter)
        self._exporter = exporter

    def on_end(self, span: ReadableSpan) -> None:
        if not span.name.endswith(SILENT_TASKS):
            super().on_end(span)

    def shutdown(self) -> None:
        self._exporter.end_soon()
        super().shutdown()  # type: ignore[no-untyped-call]

    def flush_and_end(self) -> None:
        """The last call of a process that ends without telling Python."""
        self._exporter.end_soon()
        self.force_flush()
