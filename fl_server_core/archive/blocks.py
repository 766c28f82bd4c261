"""Walks arrays in blocks, so that temporary memory does not grow with a tensor."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fl_server_core.archive.dtypes import bit_views

_BLOCK = 1 << 18

Array = np.ndarray[Any, Any]


def blocks(arrays: Sequence[Array], size: int) -> Iterator[list[Array]]:
    """Corresponding parts of arrays of one shape, as views of at most `size` elements each.

    One-dimensional where all arrays are contiguous, else with as many dimensions as they have.
    """
    if arrays[0].size == 0:
        return
    if all(array.flags.c_contiguous for array in arrays):
        flat = [array.reshape(-1) for array in arrays]
        for at in range(0, flat[0].size, size):
            yield [array[at : at + size] for array in flat]
    else:
        for index in _indices(arrays[0].shape, size):
            yield [array[index] for array in arrays]


def same_bits(one: Array, other: Array) -> bool:
    """Whether two arrays of one shape and type are equal bit by bit (a NaN equals itself, 0 is not -0)."""
    return all(equal_bits(a, b).all() for a, b in blocks([one, other], _BLOCK))


def equal_bits(one: Array, other: Array) -> Array:
    """Where two arrays of one shape and type have the same bits."""
    pairs = zip(bit_views(one), bit_views(other), strict=True)
    equal: Array = np.logical_and.reduce([a == b for a, b in pairs])
    return equal


def _indices(shape: tuple[int, ...], size: int) -> Iterator[tuple[slice, ...]]:
    if not shape:
        yield ()
        return
    inner = math.prod(shape[1:])
    if inner <= size:
        step = max(1, size // inner)
        for at in range(0, shape[0], step):
            yield (slice(at, at + step),)
    else:
        for at in range(shape[0]):
            for rest in _indices(shape[1:], size):
                yield (slice(at, at + 1), *rest)
