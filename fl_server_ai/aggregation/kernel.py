"""The weighted mean of many tensors, in blocks: pure functions on arrays.

Summed in the given order, one operation after the other, so that equal input gives bitwise equal output. float32 is
summed in float32, the smaller floating types in float32 too, float64, integers and booleans in float64, complex numbers
in their own type; integers and booleans are rounded half to even. An element whose bits are the same in all sources
keeps these bits: the -inf of an attention mask, an equal NaN, an integer beyond 2**53.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fl_server_core.archive import Archive, ArchiveWriter
from fl_server_core.archive.blocks import blocks
from fl_server_core.archive.dtypes import bit_views, is_extended

Array = np.ndarray[Any, Any]

_BLOCK = 1 << 16
"""Elements at a time: the operands of one step stay in a core's cache."""
_BEAT = 1 << 24
"""Elements read between two heartbeats: some ten milliseconds' work."""
_SPARSE = 16


def weighted_mean(
    sources: Sequence[Archive],
    weights: Sequence[float],
    writer: ArchiveWriter,
    *,
    heartbeat: Callable[[], None] | None = None,
) -> None:
    """Write Σ wᵢ·sourceᵢ / Σ wᵢ into the writer's file, for every tensor of its template.

    `sources` have the template's names, shapes and types (`check_compatible`); weights are ≥ 0 and not all 0.
    `heartbeat` is called every few milliseconds of work; what it raises ends the work. Memory is that of a few blocks.

    Raises ValueError for weights that make no mean, ArchiveError for a tensor that cannot be written.
    """
    shares = _shares(weights, len(sources))
    beat = _Beat(heartbeat)
    done: set[tuple[object, ...]] = set()
    for name, info in writer.template.tensors.items():
        if info.view not in done:
            done.add(info.view)
            _mean_into(writer.array(name), [source.array(name) for source in sources], shares, beat)


def weighted_mean_arrays(arrays: Sequence[Array], weights: Sequence[float]) -> Array:
    """Σ wᵢ·arrayᵢ / Σ wᵢ of arrays of one shape and type, as a new array of these. Raises ValueError if they differ."""
    shares = _shares(weights, len(arrays))
    if any(array.shape != arrays[0].shape or array.dtype != arrays[0].dtype for array in arrays):
        raise ValueError("The arrays have different shapes or types.")
    result = np.empty(arrays[0].shape, arrays[0].dtype)
    _mean_into(result, list(arrays), shares, _Beat(None))
    return result


def weighted_mean_vectors(vectors: Iterable[Array], weights: Sequence[float]) -> Array:
    """Σ wᵢ·vectorᵢ / Σ wᵢ of vectors of one length, summed in float64; float64 if one of them is, else float32.

    One vector at a time is taken from `vectors`, so that a generator never holds them all. Raises ValueError if
    lengths differ, or the number of weights.
    """
    total: Array | None = None
    dtype = np.dtype(np.float32)
    for vector, share in zip(vectors, _shares(weights, len(weights)), strict=True):
        if total is None:
            total = np.zeros(vector.shape)
        if vector.shape != total.shape:
            raise ValueError("The vectors have different lengths.")
        if vector.dtype == np.float64:
            dtype = vector.dtype
        for part, sum_part in blocks([vector, total], _BLOCK):
            sum_part += np.multiply(part, share, dtype=np.float64)
    if total is None:
        raise ValueError("There is nothing to take the mean of.")
    return total.astype(dtype)


class _Beat:
    """Calls the heartbeat once for so many elements read."""

    def __init__(self, heartbeat: Callable[[], None] | None) -> None:
        self._heartbeat = heartbeat
        self._elements = 0

    def count(self, elements: int) -> None:
        self._elements += elements
        if self._heartbeat is not None and self._elements >= _BEAT:
            self._elements = 0
            self._heartbeat()


def _shares(weights: Sequence[float], count: int) -> list[float]:
    """The weights, normalised in float64."""
    if not count or len(weights) != count:
        raise ValueError("There must be as many weights as sources, and at least one.")
    total = math.fsum(weights)
    if not math.isfinite(total) or total <= 0 or any(weight < 0 for weight in weights):
        raise ValueError("Weights must be finite and not negative, and one of them positive.")
    return [weight / total for weight in weights]


def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type to sum in."""
    if dtype.kind == "c":
        return dtype
    narrow = is_extended(dtype) or (dtype.kind == "f" and dtype.itemsize <= 4)
    return np.dtype(np.float32 if narrow else np.float64)


def _mean_into(target: Array, sources: list[Array], shares: list[float], beat: _Beat) -> None:
    wide = _wide(target.dtype)
    scratch = np.empty((2, min(_BLOCK, max(target.size, 1))), wide)
    # inf - inf is no number, as it should be, and what overflows in the last bit is infinite: no reason to warn.
    with np.errstate(all="ignore"):
        for target_part, *parts in blocks([target, *sources], _BLOCK):
            flat = [np.ascontiguousarray(part).reshape(-1) for part in parts]
            total, product = scratch[:, : flat[0].size]
            kept = _sum_into(total, product, flat, shares)
            result = _narrowed(total, target.dtype)
            if kept is not None:
                np.copyto(result, flat[0], where=kept)
            target_part[...] = result.reshape(target_part.shape)
            beat.count(result.size * len(flat))


def _sum_into(total: Array, product: Array, parts: list[Array], shares: list[float]) -> Array | None:
    """The weighted sum, and where all parts have the same bits (None: nowhere). Both at once, for the cache's sake."""
    total.fill(0)
    equal = _EqualBits(parts[0])
    for part, share in zip(parts, shares, strict=True):
        if share:  # else 0 times infinity
            np.multiply(part, share, out=product, dtype=total.dtype, casting="unsafe")
            np.add(total, product, out=total)
        equal.compare(part)
    return equal.mask()


class _EqualBits:
    """Where parts have the bits of the first one. Becomes cheap as soon as few elements are left."""

    def __init__(self, first: Array) -> None:
        self._size = first.size
        self._first = bit_views(first)
        self._mask: Array | None = None
        self._left: Array | None = None

    def compare(self, part: Array) -> None:
        views = bit_views(part)
        if self._left is not None:
            for one, other in zip(self._first, views, strict=True):
                if self._left.size:
                    self._left = self._left[one[self._left] == other[self._left]]
            return
        for one, other in zip(self._first, views, strict=True):
            same = one == other
            self._mask = same if self._mask is None else np.logical_and(self._mask, same, out=self._mask)
        if self._mask is not None and np.count_nonzero(self._mask) * _SPARSE < self._size:
            self._left = np.flatnonzero(self._mask)

    def mask(self) -> Array | None:
        if self._left is None:
            return self._mask
        if not self._left.size:
            return None
        mask = np.zeros(self._size, np.bool_)
        mask[self._left] = True
        return mask


def _narrowed(total: Array, dtype: np.dtype[Any]) -> Array:
    """The sum in the type of the result. Overwrites `total` if that is an integer's."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        np.clip(np.rint(total, out=total), limits.min, _float_below(limits.max), out=total)
    elif dtype.kind == "b":
        np.rint(total, out=total)
    return total.astype(dtype)


def _float_below(limit: int) -> float:
    """The largest float64 that is no larger: 2**63 - 1 has none of its own, and 2**63 would overflow."""
    value = float(limit)
    return value if int(value) <= limit else math.nextafter(value, 0.0)
