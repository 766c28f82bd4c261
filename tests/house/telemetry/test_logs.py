"""What requests of strangers write into the log."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client

from fl_server.settings.environment import Environment
from fl_server.settings.logging import logging_settings
from fl_server.telemetry.logs import Seldom
from tests.builders.clients import browser_of
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db


class Lines(logging.Handler):
    """Keeps what would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    """What reaches the log of a server with the settings as they are."""
    logging.config.dictConfig(logging_settings(Environment({"FL_ACCESS_LOG": "false"}), log_file=None))
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler.records
    logging.getLogger().removeHandler(handler)
    logging.config.dictConfig(settings.LOGGING)


def test_a_foreign_host_writes_one_short_line_a_minute(
    lines: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        assert Client().get("/admin/login/", HTTP_HOST=f"evil-{number}.example").status_code == 400
    assert [(record.name, record.exc_info) for record in lines] == [("django.security.DisallowedHost", None)]
    assert "evil-0.example" in lines[0].getMessage()
    monkeypatch.setattr(Seldom, "SECONDS", 0.0)
    assert Client().get("/admin/login/", HTTP_HOST="evil-5.example").status_code == 400
    assert len(lines) == 2


def test_a_filter_that_the_admin_does_not_allow_writes_no_traceback(lines: list[logging.LogRecord]) -> None:
    browser = browser_of(make_user("chief", is_staff=True, is_superuser=True))
    for _ in range(3):
        page = browser.get("/admin/fl_server_core/training/", {"actor__password__startswith": "p"})
        assert page.status_code == 400
    assert [(record.name, record.exc_info) for record in lines] == [
        ("django.security.DisallowedModelAdminLookup", None)
    ]


def test_a_spent_budget_and_too_many_who_ask_are_no_failures_of_the_server(lines: list[logging.LogRecord]) -> None:
    for status in (507, 503, 500):
        logging.getLogger("django.request").error("%s", status, extra={"status_code": status})
    assert [record.getMessage() for record in lines] == ["500"]
