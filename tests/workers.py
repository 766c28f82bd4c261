"""The workers of pytest-xdist: each has a data folder, a database and a number of Redis of its own."""

from __future__ import annotations

import os

REDIS_NUMBERS = 16


def worker_number() -> int:
    """Of this process; 0 where there are no workers."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def redis_locations() -> list[str]:
    """Where each worker finds Redis: the first at the number that is given, the others at those below it."""
    base, _, number = os.environ.get("TEST_REDIS_LOCATION", "redis://127.0.0.1:6379/15").rpartition("/")
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return [f"{base}/{(int(number) - worker) % REDIS_NUMBERS}" for worker in range(count)]
