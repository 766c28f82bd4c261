from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from fl_server_ai.notification.tasks import deliver
from fl_server_ai.trainer.tasks import process_trainer_task
from tests.ai.notification.listener import Listener, listening

Capture = Callable[..., AbstractContextManager[list[Callable[[], Any]]]]


class Queue:
    """Stands for the broker: keeps what is enqueued, and runs it when a test says so."""

    def __init__(self, commit: Capture) -> None:
        self.waiting: list[int] = []
        self.later: list[tuple[int, float]] = []
        self._commit = commit

    def put(self, arguments: tuple[int], countdown: float) -> None:
        if countdown == 0:
            self.waiting.append(arguments[0])
        else:
            self.later.append((arguments[0], countdown))

    def run(self) -> None:
        """Do what waits, and what that enqueues, but nothing that is for later."""
        while self.waiting:
            self.do(self.waiting.pop(0))

    def do(self, delivery_id: int) -> None:
        with self._commit(execute=True):
            deliver(delivery_id)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Capture) -> Queue:
    queue = Queue(django_capture_on_commit_callbacks)
    monkeypatch.setattr(deliver, "apply_async", queue.put)
    monkeypatch.setattr(process_trainer_task, "apply_async", lambda *_args, **_kwargs: None)
    return queue


@pytest.fixture
def commit(django_capture_on_commit_callbacks: Capture) -> Callable[[], AbstractContextManager[Any]]:
    """What is done under it is committed, and what waits for the commit is run."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener
