"""What workers and beat log while a service is away."""

from __future__ import annotations

import errno
import json
import logging
import logging.config
from collections.abc import Iterator
from io import StringIO

import pytest
from celery.beat import SchedulingError
from django.conf import settings
from django.db import OperationalError, ProgrammingError
from kombu.exceptions import OperationalError as BrokerAway
from redis.exceptions import ConnectionError as RedisAway

from fl_server.settings.environment import Environment
from fl_server.settings.logging import logging_settings
from fl_server_core.storage import StorageUnavailable

pytestmark = pytest.mark.once


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """What a server that writes JSON writes."""
    logging.config.dictConfig(logging_settings(Environment({"FL_LOG_FORMAT": "json"}), log_file=None))
    stream = StringIO()
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(stream)
    yield stream
    logging.config.dictConfig(settings.LOGGING)


def logged(lines: StringIO, name: str, error: Exception) -> dict[str, str]:
    """The line of a logger that tells of an error in Celery's way: several lines, and a traceback."""
    try:
        raise error
    except Exception:
        logging.getLogger(name).exception("Task %(name)s failed\n%(stack)s", {"name": "sweep", "stack": "a stack"})
    line: dict[str, str] = json.loads(lines.getvalue().splitlines()[-1])
    return line


@pytest.mark.parametrize(
    ("error", "service"),
    [
        (OperationalError("timeout expired"), "The database"),
        (StorageUnavailable(5, "no"), "The file storage"),
        (OSError(errno.ENOSPC, "No space left on device"), "The file storage"),
        (BrokerAway("refused"), "Redis"),
        (RedisAway("refused"), "Redis"),
    ],
)
def test_a_task_that_ends_because_a_service_is_away_is_one_warning(
    lines: StringIO, error: Exception, service: str
) -> None:
    line = logged(lines, "celery.app.trace", error)
    assert line["level"] == "warning"
    assert line["message"] == f"{service} is unavailable; the next sweep makes up for it. Task sweep failed"
    assert "exception" not in line


def test_a_bug_keeps_its_traceback_also_while_a_service_is_away(lines: StringIO) -> None:
    bug = ValueError("a bug")
    bug.__context__ = OperationalError("away")
    for error in (bug, ProgrammingError("no such column"), PermissionError(errno.EACCES, "a bug, too")):
        line = logged(lines, "celery.app.trace", error)
        assert (line["level"], type(error).__name__ in line["exception"]) == ("error", True)


@pytest.mark.parametrize("name", ["celery.beat", "celery.bootsteps", "celery.worker.request"])
def test_what_celery_makes_of_the_brokers_error_is_one_warning(lines: StringIO, name: str) -> None:
    error = SchedulingError("Couldn't apply scheduled task sweep")
    error.__context__ = RedisAway("refused")
    line = logged(lines, name, error)
    assert (line["level"], "exception" in line) == ("warning", False)
    assert line["message"].startswith("Redis is unavailable")
