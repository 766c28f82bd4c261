"""Asks questions that may hang, without hanging itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


class NoAnswer(Exception):
    """There was no answer in time."""


class Bounded(Generic[Answer]):
    """Asks one question in a thread of its own, once at a time: what hangs holds this thread and no other.

    Several bounded questions are asked side by side: first `ask` each, then wait for each `answer`.
    """

    def __init__(self, name: str, question: Callable[[], Answer], *, seconds: float) -> None:
        self._name = name
        self._question = question
        self._seconds = seconds
        self._changed = threading.Condition()
        self._asked = self._answered = 0
        self._asked_at = 0.0
        self._thread: threading.Thread | None = None
        self._outcome: Callable[[], Answer] = _not_asked

    def ask(self) -> int:
        """Begin, unless the last question is still open. Returns: the number to wait for."""
        with self._changed:
            if self._asked == self._answered:
                self._asked += 1
                self._asked_at = monotonic()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name=f"monitoring-{self._name}", daemon=True)
                    self._thread.start()
                self._changed.notify_all()
            return self._asked

    def answer(self, number: int) -> Answer:
        """The answer to a question.

        Raises:
            NoAnswer: there is none `seconds` after it was asked.
            Exception: what the question raised.
        """
        with self._changed:
            left = self._asked_at + self._seconds - monotonic()
            if not self._changed.wait_for(lambda: self._answered >= number, max(0.0, left)):
                raise NoAnswer(f"No answer within {self._seconds:g} seconds.")
            outcome = self._outcome
        return outcome()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._answered)
            outcome = self._outcome_now()
            with self._changed:
                self._outcome = outcome
                self._answered = self._asked
                self._changed.notify_all()

    def _outcome_now(self) -> Callable[[], Answer]:
        try:
            answer = self._question()
        except Exception as error:  # noqa: BLE001  it is raised again, where the answer is taken
            failure = error.with_traceback(None)
            return lambda: _raise(failure)
        return lambda: answer


def _not_asked() -> Any:
    raise NoAnswer("Nothing was asked.")


def _raise(error: Exception) -> Any:
    raise error.with_traceback(None)
