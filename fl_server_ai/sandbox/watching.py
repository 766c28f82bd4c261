"""Changes in a sandbox, for whoever counts them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class Change(Enum):
    """Something that grows or shrinks. WAITING and PROCESSES are how many there are; the others only grow."""

    WAITING = "jobs that wait for a process"
    PROCESSES = "processes"
    KILLED = "processes that were ended because of what ran in them"
    DONE = "jobs that have a reply"
    MODEL_FAILED = "jobs whose model failed or was refused"
    STOPPED = "jobs whose model took too long or too much, or crashed"
    INPUT_REFUSED = "jobs whose input was refused"
    BUSY = "jobs for which no process became free"
    NOT_STARTED = "jobs for which no process could be started"
    ENDED_OTHERWISE = "jobs that ended with another error"


Watch = Callable[[Change, int], None]
"""Called with what changes and by how much, in any thread, while locks are held: it must be quick and not raise."""


def watch_nothing(change: Change, amount: int) -> None:
    """Nobody counts."""
    del change, amount
