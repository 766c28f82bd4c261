"""Whether this process has been told to end, known to all of its threads and to the processes that it has forked."""

from __future__ import annotations

import mmap
import struct
import time

_DEADLINE = struct.Struct("d")
# Memory that forks share. 0: nobody has said anything. Else when work must be handed over, by the system's own clock.
_told = mmap.mmap(-1, _DEADLINE.size)


def begin_to_stop(seconds: float) -> None:
    """Say that this process ends: it begins nothing new, and what runs has so many seconds. The first word holds."""
    if not is_stopping():
        _DEADLINE.pack_into(_told, 0, time.monotonic() + seconds)


def forget() -> None:
    """In a fork that is to live on whatever its parent was told: a word of its own, for itself and its own forks."""
    global _told
    _told = mmap.mmap(-1, _DEADLINE.size)


def is_stopping() -> bool:
    """Has this process been told to end?"""
    return _deadline() > 0


def seconds_left() -> float:
    """How long work that runs may still take; 0 when the time is over, infinity if nobody has said anything."""
    deadline = _deadline()
    return max(0.0, deadline - time.monotonic()) if deadline else float("inf")


def _deadline() -> float:
    return float(_DEADLINE.unpack_from(_told)[0])
