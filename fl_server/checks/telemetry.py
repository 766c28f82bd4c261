"""Traces and error reports: their libraries, and where they go."""

import os
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks

from fl_server.telemetry.reports import can_report, is_dsn
from fl_server.telemetry.tracing import can_trace


def check_tracing(**_: Any) -> Iterator[checks.CheckMessage]:
    """Traces need a library, and go to a receiver that speaks OTLP over HTTP."""
    if not settings.FL_TRACING:
        return
    if not can_trace():
        yield checks.Error(
            "Traces are turned on, but the libraries for OpenTelemetry are not installed.",
            hint="Install the extra: pip install 'fl-server[otel]'. Or set FL_TRACING to false.",
            id="fl_server.E020",
        )
    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf") != "http/protobuf":
        yield checks.Warning(
            "OTEL_EXPORTER_OTLP_PROTOCOL has no effect: traces are sent by HTTP, as protobuf.",
            hint="Name the receiver's port for HTTP, often 4318, in OTEL_EXPORTER_OTLP_ENDPOINT, and remove this one.",
            id="fl_server.W060",
        )


def check_sentry(**_: Any) -> Iterator[checks.CheckMessage]:
    """Error reports need a library, and an address that it can read."""
    if not settings.FL_SENTRY_DSN:
        return
    if not can_report():
        yield checks.Error(
            "FL_SENTRY_DSN is set, but the library for Sentry is not installed.",
            hint="Install the extra: pip install 'fl-server[sentry]'.",
            id="fl_server.E021",
        )
    elif not is_dsn(settings.FL_SENTRY_DSN):
        yield checks.Error(
            "FL_SENTRY_DSN must be an address with a key and a project.",
            hint="Copy it from the project's settings: https://<key>@<host>/<project>.",
            id="fl_server.E022",
        )
    elif settings.FL_PRODUCTION and not settings.FL_SENTRY_DSN.startswith("https://"):
        yield checks.Warning(
            "Error reports are sent without TLS.",
            hint="Set FL_SENTRY_DSN to an address that begins with https://.",
            id="fl_server.W061",
        )
