"""Traces by OpenTelemetry, if they are turned on: from a request through the queue to what a task does and sends.

Its libraries are imported only then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from celery.signals import worker_process_shutdown
from django.conf import settings
from django.http import HttpRequest
from structlog.contextvars import get_contextvars

from fl_server_core.log_context import bound_id
from fl_server_core.tracing import hooks

LIBRARIES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http", "opentelemetry.instrumentation.django")
WITH_QUERY = ("http.url", "http.target", "url.full", "url.query")
EXPORT_SECONDS = 3.0
REQUEST_LOG = "fl_server_api.request_log.RequestLogMiddleware"
"""The library's middleware stands after it: it drops the headers by which strangers would choose the trace. The probes,
which come before, have no spans."""


def can_trace() -> bool:
    """Are the libraries installed?"""
    return find_spec("opentelemetry") is not None and all(find_spec(name) is not None for name in LIBRARIES)


def trace() -> None:
    """Turn traces on if they are set. What is missing for them, a check says."""
    if not settings.FL_TRACING or not can_trace() or hooks.span is not None:
        return
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.propagate import set_global_textmap
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import set_tracer_provider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    from fl_server.telemetry.spans import Exporter, Spans

    provider = TracerProvider(resource=Resource.create(_resource()))
    endpoint = settings.FL_TRACING_ENDPOINT.rstrip("/")
    spans = Spans(Exporter(endpoint=f"{endpoint}/v1/traces" if endpoint else None, timeout=_timeout()))
    provider.add_span_processor(spans)
    set_tracer_provider(provider)
    # Without baggage: it would carry what a client wrote from one service to the next.
    set_global_textmap(TraceContextTextMapPropagator())
    position = settings.MIDDLEWARE.index(REQUEST_LOG) + 1
    DjangoInstrumentor().instrument(request_hook=_clean, middleware_position=position)
    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]  # it has types in part
    # A process of Celery's pool ends without telling Python.
    worker_process_shutdown.connect(lambda **_: spans.flush_and_end(), weak=False)
    install_hooks(provider.get_tracer("fl_server"))


def _timeout() -> float | None:
    """The time limit of an export, in seconds; None: the operator has set one. A stop waits for the last export."""
    names = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
    return None if any(name in os.environ for name in names) else EXPORT_SECONDS


def _resource() -> dict[str, str]:
    """Who sends the spans. What the operator has set takes precedence."""
    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return {"service.version": version("fl-server")} | ({} if named else {"service.name": "fl-server"})


def _clean(span: Any, _request: HttpRequest) -> None:
    """Queries may hold secrets: those of a sign-in at a provider do."""
    if not span.is_recording():
        return
    for name in [name for name in WITH_QUERY if name in (span.attributes or {})]:
        span.set_attribute(name, str(span.attributes[name]).partition("?")[0] if name != "url.query" else "")
    span.set_attribute("fl.request_id", bound_id("request_id"))


def install_hooks(tracer: Any) -> None:
    """Let `fl_server_core.tracing` make spans by this tracer."""
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, get_current_span, use_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    @contextmanager
    def span(name: str, attributes: Mapping[str, Any]) -> Iterator[None]:
        with tracer.start_as_current_span(name, attributes=_attributes(attributes)):
            yield

    @contextmanager
    def own_trace(name: str, attributes: Mapping[str, Any]) -> Iterator[None]:
        links = [Link(get_current_span().get_span_context())]
        root = tracer.start_span(name, context=Context(), links=links, attributes=_attributes(attributes))
        with use_span(root, end_on_exit=True):
            yield

    def ids() -> dict[str, str]:
        context = get_current_span().get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    def headers() -> dict[str, str]:
        carrier: dict[str, str] = {}
        if settings.FL_TRACING_NOTIFICATIONS:
            TraceContextTextMapPropagator().inject(carrier)
            carrier.pop("tracestate", None)  # what other services wrote there isn't for participants
        return carrier

    hooks.span, hooks.own_trace, hooks.ids, hooks.headers = span, own_trace, ids, headers


def _attributes(attributes: Mapping[str, Any]) -> dict[str, str | int | float]:
    """The given attributes, and the ids that log lines carry."""
    known = {**get_contextvars(), **attributes}
    values = {f"fl.{name}": value for name, value in known.items() if value is not None}
    return {name: value if isinstance(value, str | int | float) else str(value) for name, value in values.items()}
