"""What accounts do at once and each minute, counted in the cache, which all processes share where there are several.

What is taken is taken for a time: of a process that dies, nothing stays taken for longer. Where Redis does not answer,
nothing is counted for some seconds, and nobody is refused: the threads of each process are bounded all the same.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, time
from typing import TypeVar
from uuid import UUID, uuid4

from django.core.cache import cache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
MINUTE = 60
PAUSE_SECONDS = 5.0
"""For so long a cache that has failed is not asked: else each request would wait for it."""


@dataclass
class _Cache:
    asked_again_at: float = 0.0

    def ask(self, question: Callable[[], Answer], instead: Answer) -> Answer:
        """The answer to a question to the cache, or `instead` where it does not answer."""
        if monotonic() < self.asked_again_at:
            return instead
        try:
            return question()
        except RedisError as error:
            self.asked_again_at = monotonic() + PAUSE_SECONDS
            logger.warning("The cache does not answer, so budgets are not counted: %s", error)
            return instead


_cache = _Cache()


def ask_cache(question: Callable[[], Answer], instead: Answer) -> Answer:
    """The answer to a question to the cache, or `instead` where the cache does not answer."""
    return _cache.ask(question, instead)


@dataclass(frozen=True)
class Place:
    """One of the places that an account may hold at once. key: None where places are not counted."""

    key: str | None
    token: str

    def give_back(self) -> None:
        """Free the place, unless it has run out and is somebody else's by now."""
        if self.key is not None:
            ask_cache(self._delete, None)

    def _delete(self) -> None:
        if cache.get(self.key) == self.token:
            cache.delete(self.key)


def take_place(kind: str, account_id: UUID, *, limit: int, seconds: float) -> Place | None:
    """One of `limit` places (0: no bound) of an account, for `seconds` at most; None: all are taken."""
    token = uuid4().hex
    if not limit:
        return Place(None, token)
    uncounted: Place | None = Place(None, token)
    return ask_cache(lambda: _first_free(f"fl_server.{kind}.{account_id}", limit, token, seconds), uncounted)


def _first_free(prefix: str, limit: int, token: str, seconds: float) -> Place | None:
    for number in range(limit):
        key = f"{prefix}.{number}"
        if cache.add(key, token, timeout=math.ceil(seconds)):  # Redis is given whole seconds
            return Place(key, token)
    return None


def count_in_minute(kind: str, account_id: UUID) -> tuple[int, float]:
    """How often this was called of the account in the present minute, and in how many seconds the next one begins."""
    minute, passed = divmod(time(), MINUTE)
    return ask_cache(lambda: _counted(f"fl_server.{kind}.{account_id}.{int(minute)}"), 0), MINUTE - passed


def _counted(key: str) -> int:
    cache.add(key, 0, timeout=2 * MINUTE)
    try:
        return cache.incr(key)
    except ValueError:  # it has just been evicted
        return 1
