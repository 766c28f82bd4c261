"""What servers send their traces and their reports of errors to: on the loopback interface, for tests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.ai.notification.listener import Listener, listening


class Collector:
    """Keeps what it was sent: bytes as they came, unpacked."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.port = listener.port

    @property
    def received(self) -> list[bytes]:
        return [
            gzip.decompress(heard.content) if heard.headers["Content-Encoding"] == "gzip" else heard.content
            for heard in list(self._listener.heard)
        ]

    def spans(self) -> list[Span]:
        """Of all traces that have arrived by OTLP."""
        requests = [ExportTraceServiceRequest.FromString(content) for content in self.received]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def events(self) -> list[dict[str, Any]]:
        """The reports of errors that have arrived in Sentry's envelopes."""
        lines = [line for content in self.received for line in content.splitlines() if line.strip()]
        items = [json.loads(line) for line in lines]
        return [item for item in items if "exception" in item]


@contextmanager
def collector() -> Iterator[Collector]:
    with listening(headers={"Content-Length": "0"}) as listener:
        yield Collector(listener)


def attributes(span: Span) -> dict[str, Any]:
    """What a span says, by name."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in span.attributes}
