"""What the checks say of traces and error reports."""

import pytest
from pytest_django import Settings

from tests.house.checks.found import ids

pytestmark = pytest.mark.once


def test_traces_need_their_libraries_and_go_by_http(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FL_TRACING = True
    assert ids() == []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert ids() == ["fl_server.W060"]
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_PROTOCOL")
    monkeypatch.setattr("fl_server.telemetry.tracing.find_spec", lambda _name: None)
    assert ids() == ["fl_server.E020"]
    settings.FL_TRACING = False
    assert ids() == []


def test_reports_of_errors_need_their_library_and_a_dsn(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FL_PRODUCTION = True
    for dsn, found in (
        ("https://key@sentry.example/1", []),
        ("https://key@sentry.example/path/1", []),
        ("http://key@sentry.example/1", ["fl_server.W061"]),
        ("sentry.example", ["fl_server.E022"]),
        ("https://sentry.example/1", ["fl_server.E022"]),
        ("https://key@sentry.example/project", ["fl_server.E022"]),
        ("https://key@[sentry/1", ["fl_server.E022"]),
    ):
        settings.FL_SENTRY_DSN = dsn
        assert (dsn, ids()) == (dsn, found)
    monkeypatch.setattr("fl_server.telemetry.reports.find_spec", lambda _name: None)
    assert ids() == ["fl_server.E021"]
