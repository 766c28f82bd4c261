"""Waiting for what nobody tells: the state of another process, of a file, of a row."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(what: str, condition: Callable[[], bool], seconds: float = 90.0, *, pause: float = 0.05) -> None:
    """Return as soon as the condition holds; AssertionError if it does not come to hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"After {seconds:g} s still waiting for: {what}"
        time.sleep(pause)
