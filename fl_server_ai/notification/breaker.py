"""Receivers that stay silent wait: for a while nobody tries them, and one attempt then finds out for all.

What is known of a host (with its port) is in the cache, which the processes share: how often it was silent in a row,
and whether it has answered lately. A silent receiver holds a thread until the timeout; waiting holds none.
"""

from __future__ import annotations

import math
from contextlib import suppress
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache

from fl_server_ai.notification.client import NoAnswer, Outcome
from fl_server_core.shared_counts import ask_cache

SHORTEST_SECONDS, LONGEST_SECONDS = 5.0, 60.0
REMEMBERED_SECONDS = 24 * 3600


def host_of(endpoint: str) -> str:
    """The host and port of a URL, which share one fate."""
    try:
        parts = urlsplit(endpoint)
        return f"{parts.hostname}:{parts.port or parts.scheme}"
    except ValueError:
        return ""


def has_answered(host: str) -> bool:
    """Did the host answer the last time, within a day?"""
    return ask_cache(lambda: cache.get(_key("answered", host)) is not None, False)


def seconds_to_wait(host: str) -> float | None:
    """In how many seconds to look again at a host that has been silent too often; None: try it now.

    Of all who ask, one is let through after each pause.
    """
    silences = ask_cache(lambda: int(cache.get(_key("silences", host), 0)), 0)
    limit: int = settings.FL_NOTIFICATION_SILENT_ATTEMPTS
    if not limit or silences < limit:
        return None
    pause = min(SHORTEST_SECONDS * 2 ** min(silences - limit, 10), LONGEST_SECONDS)
    lasts = math.ceil(pause + settings.FL_NOTIFICATION_TIMEOUT_SECONDS)  # Redis is given whole seconds
    return None if ask_cache(lambda: cache.add(_key("tried", host), True, timeout=lasts), True) else pause


def note_outcome(host: str, outcome: Outcome) -> None:
    """What an attempt at the host says of it: one that was never made says nothing."""
    if isinstance(outcome, NoAnswer) and outcome.is_silence:
        note_silence(host)
    elif not (isinstance(outcome, NoAnswer) and outcome.is_permanent):
        note_answer(host)


def note_answer(host: str) -> None:
    """The host answers, be it by a refusal."""

    def forget() -> None:
        cache.delete_many([_key("silences", host), _key("tried", host)])
        cache.set(_key("answered", host), True, timeout=REMEMBERED_SECONDS)

    ask_cache(forget, None)


def note_silence(host: str) -> None:
    """An attempt at the host ended by its timeout."""

    def count() -> None:
        cache.delete(_key("answered", host))
        cache.add(_key("silences", host), 0, timeout=REMEMBERED_SECONDS)
        with suppress(ValueError):  # evicted a moment ago
            cache.incr(_key("silences", host))

    ask_cache(count, None)


def _key(what: str, host: str) -> str:
    return f"fl_server.receiver.{what}.{host.encode().hex()[:200]}"
