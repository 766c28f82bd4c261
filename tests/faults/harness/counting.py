"""How many faults the suite has injected, of which kinds."""

from __future__ import annotations

import threading
import time
from collections import Counter

_lock = threading.Lock()
_counts: Counter[str] = Counter()
_notes: list[str] = []
_started = time.monotonic()


def injected(kind: str, times: int = 1) -> None:
    """Note that a fault has been injected."""
    with _lock:
        _counts[kind] += times


def note(sentence: str) -> None:
    """A measurement to be shown at the end of the run."""
    with _lock:
        _notes.append(sentence)


def report() -> list[str]:
    """The lines to print when the suite is over."""
    if not _counts and not _notes:
        return []
    total, seconds = sum(_counts.values()), time.monotonic() - _started
    kinds = ", ".join(f"{number} × {kind}" for kind, number in sorted(_counts.items()))
    return [f"{total} faults injected in {seconds:.0f} s: {kinds}.", *_notes]
