"""Spans: what is part of which trace, and what of it leaves for participants. The way through a server: tests/e2e."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import cast
from uuid import uuid4

import pytest
from django.utils import timezone
from opentelemetry import baggage, context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest_django import Settings

from fl_server.telemetry.spans import Exporter, Spans
from fl_server.telemetry.tracing import install_hooks
from fl_server_ai.notification.client import Accepted, post
from fl_server_ai.trainer.tasks import sweep
from fl_server_core import tracing
from fl_server_core.log_context import log_scope
from tests.ai.notification.listener import PATIENCE, SECRET, listening
from tests.builders.rounds import set_deadline
from tests.builders.world import World


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans that have ended."""
    monkeypatch.setattr(tracing, "hooks", tracing._Hooks())
    monkeypatch.setattr("fl_server.telemetry.tracing.hooks", tracing.hooks)
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    install_hooks(provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


def test_without_traces_spans_are_nothing() -> None:
    with tracing.span("a", number=1), tracing.own_trace("b"):
        assert (tracing.trace_ids(), tracing.trace_headers()) == ({}, {})


def test_a_span_has_the_ids_of_the_log(spans: InMemorySpanExporter) -> None:
    with log_scope(request_id="r-1"), tracing.span("claim", training_id=uuid4(), kind=None):
        ids = tracing.trace_ids()
    [span] = spans.get_finished_spans()
    assert span.attributes is not None
    assert (span.attributes["fl.request_id"], set(span.attributes)) == ("r-1", {"fl.request_id", "fl.training_id"})
    assert span.context is not None
    assert ids == {"trace_id": f"{span.context.trace_id:032x}", "span_id": f"{span.context.span_id:016x}"}
    assert tracing.trace_ids() == {}


@pytest.mark.django_db
def test_what_a_sweep_picks_up_has_a_trace_of_its_own_that_links_to_the_sweep(spans: InMemorySpanExporter) -> None:
    training = World(1).start().training
    set_deadline(training, timezone.now() - timedelta(seconds=1))
    with tracing.span("sweep"):
        sweep()
    found = {span.name: span for span in spans.get_finished_spans()}
    picked, swept = found["pick_up"], found["sweep"]
    assert picked.parent is None
    assert picked.context is not None
    assert swept.context is not None
    assert picked.context.trace_id != swept.context.trace_id
    assert [link.context.span_id for link in picked.links] == [swept.context.span_id]
    assert picked.attributes is not None
    assert picked.attributes["fl.training_id"] == str(training.pk)


def test_a_notification_says_its_trace_only_where_the_operator_wants_it_and_never_more(
    spans: InMemorySpanExporter, settings: Settings
) -> None:
    token = context.attach(baggage.set_baggage("who", "somebody"))
    try:
        with listening() as listener, tracing.span("send"):
            for wanted in (False, True):
                settings.FL_TRACING_NOTIFICATIONS = wanted
                done = post(listener.url, {}, delivery_id=uuid4(), secrets=[SECRET], seconds=PATIENCE)
                assert done == Accepted(200)
            said = [{name.lower(): value for name, value in heard.headers.items()} for heard in listener.heard]
            of_traces = [sorted({"traceparent", "tracestate", "baggage"} & set(headers)) for headers in said]
            assert of_traces == [[], ["traceparent"]]
            assert said[1]["traceparent"].split("-")[1] == tracing.trace_ids()["trace_id"]
    finally:
        context.detach(token)


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that went to a collector that takes none of them."""
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    sizes: list[int] = []

    def fail(_self: OTLPSpanExporter, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        sizes.append(len(spans))
        return SpanExportResult.FAILURE

    monkeypatch.setattr(OTLPSpanExporter, "export", fail)
    return sizes


def waiting(processor: Spans, number: int) -> None:
    """So many spans wait to be sent; and one that nobody wants."""
    tracer = TracerProvider().get_tracer("test")
    for name in [*map(str, range(number)), "run/fl_server_ai.trainer.tasks.seal"]:
        processor.on_end(cast(ReadableSpan, tracer.start_span(name)))


@pytest.mark.parametrize(("seconds", "asked"), [(0.0, 0), (60.0, 4)])
def test_a_stop_asks_a_collector_only_for_so_long(
    exports: list[int], monkeypatch: pytest.MonkeyPatch, seconds: float, asked: int
) -> None:
    monkeypatch.setattr("fl_server.telemetry.spans.LAST_SECONDS", seconds)
    processor = Spans(Exporter())
    waiting(processor, 4)
    processor.shutdown()
    assert len(exports) == asked


def test_a_stop_does_not_ask_a_collector_that_was_away_a_moment_ago(exports: list[int]) -> None:
    for end in (Spans.shutdown, Spans.flush_and_end):
        exports.clear()
        processor = Spans(Exporter())
        waiting(processor, 1)
        processor.force_flush()
        waiting(processor, 4)
        end(processor)
        assert len(exports) == 1
        processor.shutdown()
