"""What several do at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection

Result = TypeVar("Result")
PATIENCE = 30.0


def at_once(*actions: Callable[[], Result]) -> list[Result]:
    """Run each in a thread of its own, from the same moment; what one raises is raised."""
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], Result]) -> Result:
        try:
            start.wait(PATIENCE)
            return action()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(actions)) as threads:
        return [done.result() for done in [threads.submit(run, action) for action in actions]]


@contextmanager
def again_and_again(act: Callable[[], object], *, pause: float) -> Iterator[None]:
    """Meanwhile a thread acts, pauses for so many seconds, acts again."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(pause):
            act()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE)
