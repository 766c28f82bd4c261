"""Which service is away, if that is all that an error says."""

from __future__ import annotations

import logging

from billiard.exceptions import RestartFreqExceeded
from django.db import InterfaceError
from django.db import OperationalError as DatabaseAway
from kombu.exceptions import OperationalError as BrokerAway
from redis.exceptions import RedisError

from fl_server_core.storage import is_of_storage

SERVICES: dict[str, tuple[type[Exception], ...]] = {
    "The database": (DatabaseAway, InterfaceError),
    "Redis": (BrokerAway, RedisError, RestartFreqExceeded),
}


def service_away(error: BaseException | None, *, deep: bool = False) -> str:
    """The service that this error is about; "" for any other error. deep: or one that was being handled then."""
    while error is not None:
        for service, kinds in SERVICES.items():
            if isinstance(error, kinds):
                return service
        if is_of_storage(error):
            return "The file storage"
        error = error.__cause__ or (error.__context__ if deep else None)
    return ""


class MadeUpFor(logging.Filter):
    """Makes one warning of a traceback where a service is away: the sweep finds what a task has left.

    deep: for Celery's own errors while it handles those of its broker.
    """

    def __init__(self, *, deep: bool = False) -> None:
        super().__init__()
        self._deep = deep

    def filter(self, record: logging.LogRecord) -> bool:
        service = service_away(record.exc_info[1], deep=self._deep) if record.exc_info else ""
        if not service:
            return True
        what = record.getMessage().partition("\n")[0]
        record.msg, record.args = "%s is unavailable; the next sweep makes up for it. %s", (service, what)
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return logging.getLogger(record.name).isEnabledFor(logging.WARNING)
