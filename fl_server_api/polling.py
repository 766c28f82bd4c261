"""Holds a request until there is something to tell."""

from __future__ import annotations

import threading
from functools import cache
from time import monotonic, sleep

from django.conf import settings
from django.db import connection

from fl_server_core.long_requests import poll_of, seat
from fl_server_core.models import Delivery, User
from fl_server_core.selectors.deliveries import pending_notifications

POLL_SECONDS = 0.5


def wait_for_notifications(*, user: User, seconds: float) -> list[Delivery]:
    """The user's pending notifications, as soon as there are any, or none after `seconds`.

    At most half of this process's request threads wait, and without a database connection; the rest is answered at
    once.

    Raises:
        AccountBusy: the user has as many requests waiting as an account may.
    """
    found = pending_notifications(user)
    if found or seconds <= 0:
        return found
    with poll_of(user, seconds), seat() as held:
        if not held or not _seats().acquire(blocking=False):
            return found
        try:
            return _poll(user, monotonic() + seconds)
        finally:
            _seats().release()


def _poll(user: User, end: float) -> list[Delivery]:
    while True:
        left = end - monotonic()
        if left <= 0:
            return []
        connection.close()
        sleep(min(POLL_SECONDS, left))
        found = pending_notifications(user)
        if found:
            return found


@cache
def _seats() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(settings.FL_WEB_THREADS // 2)
