from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
PARAMETERS = 5000  # SQLite takes 32,766 in one statement


def batches(items: Sequence[Item], size: int = PARAMETERS) -> Iterator[Sequence[Item]]:
    """The items in parts that fit into one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
