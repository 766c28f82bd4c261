"""A lock that the one who has waited longest gets next."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from time import monotonic

LOOK_SECONDS = 1.0
"""How often somebody who waits looks whether the thread that holds the turn still lives."""


class Turn:
    """One thread's place in a queue."""

    def __init__(self) -> None:
        self.thread = threading.current_thread()
        self.called = threading.Event()


class Turns:
    """First come, first served, among the threads of this process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew: in a fork, the threads that held or awaited a turn do not exist."""
        self._guard = threading.Lock()
        self._holder: Turn | None = None
        self._waiting: deque[Turn] = deque()

    def take(self, patience: float) -> Turn | None:
        """Wait for a turn, which `give_back` ends; None if it does not come in `patience` seconds.

        None at once where this very thread has the turn already: it would wait for itself.
        """
        turn = Turn()
        with self._guard:
            if not self._is_held():
                self._holder = turn
                return turn
            if self._holder is not None and self._holder.thread is turn.thread:
                return None
            self._waiting.append(turn)
        try:
            self._wait(turn, monotonic() + patience)
        except BaseException:  # a Ctrl-C must not leave a place in the queue that nobody stands in
            self.give_back(turn)
            raise
        return turn if self._holder is turn else None

    def give_back(self, turn: Turn) -> None:
        """Let the next one in; also for a turn that still waits, or has been given back already."""
        with self._guard:
            if self._holder is turn:
                self._call_next()
            else:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)

    def _wait(self, turn: Turn, end: float) -> None:
        while not turn.called.wait(max(0.0, min(LOOK_SECONDS, end - monotonic()))):
            with self._guard:
                if not self._is_held():
                    self._call_next()
                elif self._holder is not turn and monotonic() >= end:
                    self._waiting.remove(turn)
                    return

    def _is_held(self) -> bool:
        """A thread that ended without giving its turn back does not have it any more."""
        return self._holder is not None and self._holder.thread.is_alive()

    def _call_next(self) -> None:
        self._holder = self._waiting.popleft() if self._waiting else None
        if self._holder is not None:
            self._holder.called.set()


_turns: dict[str, Turns] = {}


def turns_of(path: str) -> Turns:
    """The queue of a file, one in this process whatever the file is called."""
    return _turns.setdefault(os.path.realpath(path), Turns())


def _forget_all() -> None:
    for turns in _turns.values():
        turns.forget()


os.register_at_fork(after_in_child=_forget_all)
