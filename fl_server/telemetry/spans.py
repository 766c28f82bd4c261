"""How spans go out. Imported only where traces are on."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from time import monotonic

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

SILENT_TASKS = ("fl_server_ai.trainer.tasks.seal",)
"""They run every few seconds, and would hide the other traces."""
LAST_SECONDS = 3.0


class Exporter(OTLPSpanExporter):
    """Begins no export after `ends`: where the collector is away, each batch that waits would cost the time limit."""

    ends = inf

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE if monotonic() >= self.ends else super().export(spans)


class Spans(BatchSpanProcessor):
    """Sends spans in batches; at a stop for no longer than `LAST_SECONDS`, and what the last batch takes."""

    def __init__(self, exporter: Exporter) -> None:
        super().__init__(exporter)
        self._exporter = exporter

    def on_end(self, span: ReadableSpan) -> None:
        if not span.name.endswith(SILENT_TASKS):
            super().on_end(span)

    def shutdown(self) -> None:
        self._exporter.ends = min(self._exporter.ends, monotonic() + LAST_SECONDS)
        super().shutdown()

    def flush_and_end(self) -> None:
        """The last call of a process that ends without telling Python."""
        self._exporter.ends = monotonic() + LAST_SECONDS
        self.force_flush()
