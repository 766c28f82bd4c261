"""The server that the end-to-end tests talk to: each pass of the suite has one set-up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from playwright.sync_api import BrowserContext, Page
from pytest_django.live_server_helper import LiveServer

from tests.e2e.browser import PATIENCE, heard_on
from tests.e2e.sites import Site, distributed, embedded


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Started once for all tests of a pass: embedded, or on PostgreSQL and Redis."""
    folder = tmp_path_factory.mktemp("site")
    if settings.FL_EMBEDDED:
        with embedded(folder) as (running, _server):
            yield running
    else:
        with distributed(folder) as running:
            yield running


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Writes a measurement where whoever runs the tests sees it."""

    def write(sentence: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{sentence}\n")

    return write


@pytest.fixture
def embedded_pass() -> None:
    """For tests that start an embedded server of their own: they run in one of the two passes."""
    if not settings.FL_EMBEDDED:
        pytest.skip("it has an embedded server of its own: run in the pass on SQLite")


@pytest.fixture
def may_use_rows_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright runs a loop in this thread, beside which Django would refuse to ask the database."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture
def page(context: BrowserContext, live_server: LiveServer) -> Iterator[Page]:
    """A page of a browser that the test has opened. It must neither complain nor ask another host."""
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    heard = heard_on(opened, live_server.url)
    yield opened
    assert heard == []
