"""The server that the end-to-end tests talk to: each pass of the suite has one set-up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings

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
