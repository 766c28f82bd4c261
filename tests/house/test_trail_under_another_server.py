"""The trail where another WSGI server runs the application: a thread of each process writes what waits."""

from __future__ import annotations

from collections.abc import Iterator
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.wsgi import get_wsgi_application

from fl_server_api.wsgi import with_trail
from fl_server_core.models import AuditEntry
from fl_server_core.services.trail_buffer import flusher
from tests.builders.waiting import wait_until


@pytest.fixture
def _stopped_afterwards() -> Iterator[None]:
    yield
    flusher.stop()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_stopped_afterwards")
def test_a_refusal_is_written_by_the_thread_that_the_first_request_starts() -> None:
    application = with_trail(get_wsgi_application())
    assert not flusher.is_running
    environ = {"PATH_INFO": "/api/models/", "REMOTE_ADDR": "192.0.2.7"}
    setup_testing_defaults(environ)
    said: list[str] = []
    application(environ, lambda status, _headers, _error=None: said.append(status))  # type: ignore[arg-type]
    assert said == ["401 Unauthorized"]
    assert flusher.is_running
    wait_until("the entry", lambda: AuditEntry.objects.filter(status=401, address="192.0.2.7").exists())
    flusher.stop()
    assert not flusher.is_running
