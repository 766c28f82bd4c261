"""What servers send their traces and their reports of errors to: on the loopback interface, for tests."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """Listens, and keeps what it was sent: bytes as they came, unpacked."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                received.append(gzip.decompress(content) if self.headers["Content-Encoding"] == "gzip" else content)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spans(self) -> list[Span]:
        """Of all traces that have arrived by OTLP."""
        requests = [ExportTraceServiceRequest.FromString(content) for content in list(self.received)]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def events(self) -> list[dict[str, Any]]:
        """The reports of errors that have arrived in Sentry's envelopes."""
        lines = [line for content in list(self.received) for line in content.splitlines() if line.strip()]
        items = [json.loads(line) for line in lines]
        return [item for item in items if "exception" in item]


@contextmanager
def collector() -> Iterator[Collector]:
    listening = Collector()
    try:
        yield listening
    finally:
        listening.close()


def attributes(span: Span) -> dict[str, Any]:
    """What a span says, by name."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in span.attributes}
