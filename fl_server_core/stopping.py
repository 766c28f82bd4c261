"""Whether this process was told to stop: shared by its threads and the processes that it forked."""

from __future__ import annotations

import mmap
import struct
import time

_DEADLINE = struct.Struct("d")
# Memory that forks share. 0: not told to stop. Otherwise the time at which work must be handed over, by the monotonic
# clock.
_told = mmap.mmap(-1, _DEADLINE.size)


def begin_to_stop(seconds: float) -> None:
    """Tell this process to stop: it begins nothing new, and what runs has `seconds` left. The first call counts."""
    if not is_stopping():
        _DEADLINE.pack_into(_told, 0, time.monotonic() + seconds)


def forget() -> None:
    """Start afresh in a fork that goes on whatever its parent was told: for this process and its own forks."""
    global _told
    _told = mmap.mmap(-1, _DEADLINE.size)


def is_stopping() -> bool:
    """Has this process been told to stop?"""
    return _deadline() > 0


def seconds_left() -> float:
    """How long work that runs may still take: 0 once the time is over, infinity if the process wasn't told to stop."""
    deadline = _deadline()
    return max(0.0, deadline - time.monotonic()) if deadline else float("inf")


def _deadline() -> float:
    return float(_DEADLINE.unpack_from(_told)[0])
