"""What several do at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

Result = TypeVar("Result")


def at_once(*actions: Callable[[], Result]) -> list[Result]:
    """Run each in a thread of its own, from the same moment; what one raises is raised."""
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], Result]) -> Result:
        try:
            start.wait(30)
            return action()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(actions)) as threads:
        return [done.result() for done in [threads.submit(run, action) for action in actions]]
