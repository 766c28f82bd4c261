"""Work that couldn't be finished because the server was away, kept until it can be."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .inbox import Notification
from .retrying import with_jitter

Step = Callable[[], Any]
"""A part of some work. Returns the next part, or None after the last one."""


@dataclass(frozen=True)
class Work:
    """What is still to do. notification: what asked for it, if one did."""

    name: str
    step: Step
    notification: Notification | None = None

    def is_overtaken_by(self, later: Notification) -> bool:
        """Whether nobody waits for it any more once `later` has arrived."""
        one = self.notification
        if one is None or (one.receiver, one.training) != (later.receiver, later.training):
            return False
        return later.type in ("CLIENT_REMOVED", one.type) or one.round < later.round


class Unfinished:
    """A queue with a pause after each failure. For one thread."""

    def __init__(self, pause: float) -> None:
        """pause: seconds after a failure, before anything is tried again."""
        self._pause = pause
        self._waiting: deque[Work] = deque()
        self._due = 0.0

    def keep(self, work: Work) -> float:
        """Put it at the end. Returns the seconds until the first is due."""
        self._waiting.append(work)
        seconds = with_jitter(self._pause, None)
        self._due = time.monotonic() + seconds
        return seconds

    def drop_before(self, later: Notification) -> None:
        """Drop what a notification overtakes."""
        self._waiting = deque(work for work in self._waiting if not work.is_overtaken_by(later))

    def seconds(self) -> float | None:
        """How long until something is due; None if nothing waits."""
        return max(self._due - time.monotonic(), 0.0) if self._waiting else None

    def take(self) -> Work | None:
        """The first one, if it is due."""
        return self._waiting.popleft() if self._waiting and self._due <= time.monotonic() else None
