"""Who may hold the threads that notify: receivers that answered last time any of them, the others a part.

Else a training with many receivers that stay silent would hold all threads, and other trainings would wait for its
timeouts.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings

WAIT_SECONDS = 0.25
"""For so long an attempt waits in its thread: receivers that answer are done by then."""


class Lanes:
    """Places for attempts at receivers of whom no answer is known: half of the threads, a quarter for each group."""

    def __init__(self, threads: int) -> None:
        self._places = max(1, threads // 2)
        self._places_each = max(1, threads // 4)
        self._held: Counter[Hashable] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def place(self, group: Hashable, seconds: float = WAIT_SECONDS) -> Iterator[bool]:
        """Holds a place, if one becomes free in so many seconds; says whether it does."""
        with self._changed:
            held = self._changed.wait_for(lambda: self._is_free(group), seconds)
            if held:
                self._held[group] += 1
        try:
            yield held
        finally:
            if held:
                self._leave(group)

    def _is_free(self, group: Hashable) -> bool:
        return self._held.total() < self._places and self._held[group] < self._places_each

    def _leave(self, group: Hashable) -> None:
        with self._changed:
            self._held[group] -= 1
            if not self._held[group]:
                del self._held[group]
            self._changed.notify_all()


@cache
def lanes() -> Lanes:
    """Those of this process."""
    return Lanes(settings.FL_NOTIFICATION_THREADS)
