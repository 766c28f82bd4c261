"""Requests that hold a thread of the web server for seconds: they wait for notifications, or for a model.

All of them together leave some of a process's threads to the requests that are answered at once, and each account may
have a few at a time.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings

from fl_server_core.exceptions import AccountBusy, ServerBusy
from fl_server_core.models.user import User
from fl_server_core.shared_counts import count_in_minute, take_place

SLACK_SECONDS = 30
RETRY_SECONDS = 5


def seats_for_all(threads: int) -> int:
    """How many of so many threads long requests may hold: three quarters, and of a single one that one."""
    return max(1, threads * 3 // 4)


@cache
def _seats() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(seats_for_all(settings.FL_WEB_THREADS))


@contextmanager
def seat() -> Iterator[bool]:
    """Holds one of this process's seats for long requests, if there is one; says whether it does."""
    held = _seats().acquire(blocking=False)
    try:
        yield held
    finally:
        if held:
            _seats().release()


@contextmanager
def inference_of(account: User) -> Iterator[None]:
    """Holds what a request needs that runs a model: one of its account's places, and a seat.

    Raises:
        AccountBusy: the account has as many of them under way as it may.
        ServerBusy: all seats are taken.
    """
    # A request waits for two turns at most, runs for one, and has its answer encoded, which may take as long.
    longest = 6 * settings.FL_SANDBOX_TIMEOUT_SECONDS + SLACK_SECONDS
    with _place("inferences", account, settings.FL_MAX_INFERENCES, "FL_MAX_INFERENCES", longest), seat() as held:
        if not held:
            raise ServerBusy("The server runs as many models as it has threads for. Try again in a moment.")
        yield


@contextmanager
def poll_of(account: User, seconds: float) -> Iterator[None]:
    """Holds one of the account's places for requests that wait for notifications, for `seconds` at most.

    Raises:
        AccountBusy: the account has as many of them under way as it may.
    """
    longest = seconds + SLACK_SECONDS
    with _place("waiting requests for notifications", account, settings.FL_MAX_POLLS, "FL_MAX_POLLS", longest):
        yield


@contextmanager
def _place(what: str, account: User, limit: int, setting: str, longest: float) -> Iterator[None]:
    place = take_place(setting, account.pk, limit=limit, seconds=longest)
    if place is None:
        raise AccountBusy(
            f"You have as many {what} under way as an account may have at once: {limit} ({setting}). "
            "Wait until one is answered, then try again.",
            RETRY_SECONDS,
        )
    try:
        yield
    finally:
        place.give_back()


def count_request(account: User) -> None:
    """Counts a request of an account.

    Raises:
        AccountBusy: it has sent as many in this minute as it may.
    """
    limit = settings.FL_MAX_REQUESTS
    if not limit:
        return
    number, left = count_in_minute("FL_MAX_REQUESTS", account.pk)
    if number > limit:
        seconds = math.ceil(left)
        raise AccountBusy(
            f"You have sent {limit} requests in this minute, as many as an account may (FL_MAX_REQUESTS). "
            f"Try again in {seconds} s.",
            seconds,
        )
