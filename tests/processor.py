"""How much of the processor a server takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
import requests

IDLE_SECONDS = 3


def processor_seconds(pid: int) -> float:
    """User and system time of a process and all its children."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def processor_ms(pid: int, ask: Callable[[], requests.Response], times: int, status: int) -> float:
    """Milliseconds of the processor that each of the requests takes, less what the server takes when it is idle."""
    for _ in range(20):
        assert ask().status_code == status
    before, started = processor_seconds(pid), time.perf_counter()
    for _ in range(times):
        assert ask().status_code == status
    between, ended = processor_seconds(pid), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    idle = (processor_seconds(pid) - between) / (time.perf_counter() - ended)
    return 1000 * (between - before - idle * (ended - started)) / times
