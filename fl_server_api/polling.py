"""Holds a request until there is something to tell."""

from __future__ import annotations

import threading
from functools import cache
from time import monotonic, sleep

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from fl_server_core.long_requests import poll_of, seat
from fl_server_core.models import Delivery, User
from fl_server_core.selectors.deliveries import pending_notifications
from fl_server_core.stopping import is_stopping

POLL_SECONDS = 0.5


def wait_for_notifications(*, user: User, seconds: float) -> QuerySet[Delivery]:
    """The user's pending notifications, as soon as there are any, or after `seconds`.

    At most half of this process's request threads wait, and without a database connection; the rest is answered at
    once.

    Raises:
        AccountBusy: the user has as many requests waiting as an account may.
    """
    found = pending_notifications(user)
    if seconds <= 0 or is_stopping() or found.exists():
        return found
    with poll_of(user, seconds), seat() as held:
        if not held or not _seats().acquire(blocking=False):
            return found
        try:
            _poll(found, monotonic() + seconds)
        finally:
            _seats().release()
    return found


def _poll(found: QuerySet[Delivery], end: float) -> None:
    # Who is told nothing by a process that ends asks again, and gets another one.
    while (left := end - monotonic()) > 0 and not is_stopping():
        connection.close()
        sleep(min(POLL_SECONDS, left))
        if found.exists():
            return


@cache
def _seats() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(settings.FL_WEB_THREADS // 2)
