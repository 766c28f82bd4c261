"""Numbers in blocks: the types to compute in, equal bits, weights. Pure functions on arrays."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fl_server_core.archive.dtypes import bit_views, is_extended

Array = np.ndarray[Any, Any]

_SPARSE = 16


def normalised(weights: Sequence[float], count: int) -> Array:
    """The weights divided by their sum, in float64. Raises ValueError if they make no mean."""
    if not count or len(weights) != count:
        raise ValueError("There must be as many weights as sources, and at least one.")
    total = math.fsum(weights)
    if not math.isfinite(total) or total <= 0 or any(weight < 0 for weight in weights):
        raise ValueError("Weights must be finite and not negative, and one of them positive.")
    return np.array([weight / total for weight in weights])


def wide_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type to compute in: float32 for the smaller floating types too, float64 for integers and booleans too."""
    if dtype.kind == "c":
        return dtype
    narrow = is_extended(dtype) or (dtype.kind == "f" and dtype.itemsize <= 4)
    return np.dtype(np.float32 if narrow else np.float64)


def narrowed(values: Array, dtype: np.dtype[Any]) -> Array:
    """The values in another type, integers rounded half to even and cut off at the type's limits."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, _float_below(limits.max))
    elif dtype.kind == "b":
        values = np.rint(values)
    return values.astype(dtype, copy=False)


def where_equal(parts: Sequence[Array]) -> Array | None:
    """Where all parts have the same bits; None: nowhere. Becomes cheap as soon as few elements are left."""
    first = bit_views(parts[0])
    rest = iter(parts[1:])
    mask: Array = np.ones(0 if len(parts) > 1 else parts[0].size, np.bool_)
    for part in rest:
        for one, other in zip(first, bit_views(part), strict=True):
            same = one == other
            mask = np.logical_and(mask, same, out=mask) if mask.size else same
        if np.count_nonzero(mask) * _SPARSE < mask.size:
            break
    left = np.flatnonzero(mask)
    for part in rest:
        if not left.size:
            return None
        for one, other in zip(first, bit_views(part), strict=True):
            left = left[one[left] == other[left]]
    if not left.size:
        return None
    kept = np.zeros(mask.size, np.bool_)
    kept[left] = True
    return kept


def squared_distances(rows: Array) -> Array:
    """Squared Euclidean distances between the rows of a float64 array, as a symmetric matrix.

    Two elements with the same bits count nothing, even where they are infinite or not a number.
    """
    count = len(rows)
    found = np.zeros((count, count))
    for at in range(count - 1):
        differences = rows[at + 1 :] - rows[at]
        sums = np.einsum("ij,ij->i", differences, differences)
        if not np.isfinite(sums).all():
            differences[rows[at + 1 :].view(np.uint64) == rows[at].view(np.uint64)] = 0
            sums = np.einsum("ij,ij->i", differences, differences)
        found[at, at + 1 :] = sums
    found[np.isnan(found)] = np.inf
    return found + found.T


def _float_below(limit: int) -> float:
    """The largest float64 that is no larger: 2**63 - 1 has none of its own, and 2**63 would overflow."""
    value = float(limit)
    return value if int(value) <= limit else math.nextafter(value, 0.0)
