"""How much each update may change the model, and how much it does. Pure functions on numbers and arrays.

Clipping: Δ · min(1, S / ‖Δ‖) of an update's difference Δ from the current model, as in McMahan et al., "Learning
Differentially Private Recurrent Language Models", ICLR 2018, Algorithm 1; as a defence, "norm thresholding", in Sun et
al., "Can You Really Backdoor Federated Learning?", 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import numpy as np

from fl_server_ai.aggregation.values import wide_type
from fl_server_core.archive.dtypes import bit_views
from fl_server_core.schema import AggregationOptions

Array = np.ndarray[Any, Any]

PARAMETERS, BUFFERS = 0, 1
"""The two groups of a model's floating-point tensors. Each has a norm, and is clipped, by itself."""
GROUPS = 2


def capped(sizes: Sequence[float], options: AggregationOptions, people: Sequence[object] = ()) -> Sequence[float]:
    """The weights of updates with these sample sizes. Without bounds they stay as they are.

    people: the ids of the updates' participants, for bounds that are agreed for each. Who is not named has the smallest
    of them.
    """
    if options.equal_weights:
        return [1] * len(sizes)
    agreed = options.sample_sizes
    if agreed and people:
        least = min(agreed.values())
        sizes = [min(size, agreed.get(str(who), least)) for size, who in zip(sizes, people, strict=True)]
    if options.sample_size_factor is not None and sizes:
        most = options.sample_size_factor * median_low(sizes)
        sizes = [min(size, most) for size in sizes]
    return sizes


def clipping_scales(norms: Array, options: AggregationOptions) -> Array:
    """By what each difference is multiplied, at most 1. norms and result: shape (groups, updates).

    The median is the lower one of an even number: half of the updates may be hostile, and it still is an honest one's
    or a smaller one.
    """
    fixed = math.inf if options.clipping_norm is None else options.clipping_norm
    factor = options.clipping_factor
    scales = []
    for group in norms.tolist():
        limit = fixed if factor is None else min(fixed, factor * median_low(group))
        scales.append([limit / norm if norm > limit else 1.0 for norm in group])
    return np.array(scales)


@np.errstate(all="ignore")
def clipped(part: Array, current: Array, scale: float) -> Array:
    """An update's values, with its difference from the current ones multiplied by a scale; in their own type."""
    if scale == 1:
        return part
    wide = np.complex128 if part.dtype.kind == "c" else np.float64
    # Not current + scale · (part - current): the difference of two large numbers would overflow.
    values = (1 - scale) * current.astype(wide) + scale * part.astype(wide)
    return np.where(_same_bits(part, current), part, values.astype(part.dtype))


@np.errstate(all="ignore")
def difference(part: Array, current: Array) -> Array:
    """part - current in float64, complex numbers as two. Equal bits differ by 0, even if they are infinite or NaN."""
    wide = np.complex128 if part.dtype.kind == "c" else np.float64
    found = part.astype(wide) - current.astype(wide)
    reals: Array = found.view(np.float64)
    if not np.isfinite(reals).all():
        found[_same_bits(part, current)] = 0
    return reals


@np.errstate(all="ignore")
def length(values: Array) -> float:
    """The Euclidean norm of real values, without overflow on the way; infinite if the norm itself is too large.

    Summed in one thread, always in the same order: a scale depends on it.
    """
    square = float(np.einsum("i,i->", values, values))
    if math.isfinite(square):
        return math.sqrt(square)
    largest = float(np.abs(values).max())
    return largest * length(values.astype(np.float64) / largest) if math.isfinite(largest) else math.inf


def _same_bits(one: Array, other: Array) -> Array:
    pairs = zip(bit_views(one), bit_views(other), strict=True)
    same: Array = np.logical_and.reduce([a == b for a, b in pairs])
    return same


@dataclass(frozen=True)
class UpdateFigures:
    """What one update is, beside the others of its round.

    norm: of the difference of its parameters from the current model's. buffer_norm: the same of its floating-point
    buffers; None: the model has none. cosine: between the difference of the parameters and that of the aggregate.
    share: of the weights. scale: by what the difference was multiplied (parameters, buffers). None: not defined.
    """

    norm: float | None
    buffer_norm: float | None = None
    cosine: float | None = None
    share: float | None = None
    scale: tuple[float, float] = (1.0, 1.0)

    def as_json(self) -> dict[str, float | None]:
        """The figures that there are, with six digits. The norm always stands there."""
        found = {"norm": _rounded(self.norm)}
        for key in ("buffer_norm", "cosine", "share"):
            value = getattr(self, key)
            if value is not None:
                found[key] = _rounded(value)
        if self.scale != (1.0, 1.0):
            found["clipped_to"] = _rounded(min(self.scale))
        return found


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


class Meter:
    """Adds up the figures of a round's updates, block by block, in the pass that aggregates them."""

    def __init__(self, count: int) -> None:
        self._norms = [[0.0] * count for _ in range(GROUPS)]
        self._products = [0.0] * count
        self._change = 0.0
        self._groups: set[int] = set()

    @np.errstate(all="ignore")
    def add(self, group: int, parts: Sequence[Array], current: Array, aggregate: Array) -> None:
        """Corresponding one-dimensional parts of the updates, of the current model, and of what was made of them."""
        self._groups.add(group)
        wide = wide_type(current.dtype)
        now = current.astype(wide, copy=False)
        change = _reals(aggregate.astype(wide, copy=False) - now)
        if not math.isfinite(np.dot(change, change)):
            change = np.where(np.isfinite(change), change, 0).astype(np.float64)
        if group == PARAMETERS:
            self._change = math.hypot(self._change, length(change))
        space = np.empty_like(now)
        for place, part in enumerate(parts):
            np.subtract(part.astype(wide, copy=False), now, out=space)
            found = _reals(space)
            norm, product = math.sqrt(np.dot(found, found)), float(np.dot(found, change))
            if not math.isfinite(norm + product):  # overflow in float32, or an equal -inf
                found = difference(part, current)
                norm, product = length(found), float(np.dot(found, change))
            self._norms[group][place] = math.hypot(self._norms[group][place], norm)
            if group == PARAMETERS:
                self._products[place] += product

    def figures(self, shares: Sequence[float], scales: Array) -> list[UpdateFigures]:
        """Of each update. shares: of the weights. scales: as `clipping_scales` gives them."""
        return [
            UpdateFigures(
                norm=self._norms[PARAMETERS][place],
                buffer_norm=self._norms[BUFFERS][place] if BUFFERS in self._groups else None,
                cosine=self._cosine(place),
                share=share,
                scale=(float(scales[PARAMETERS, place]), float(scales[BUFFERS, place])),
            )
            for place, share in enumerate(shares)
        ]

    def _cosine(self, place: int) -> float | None:
        norm = self._norms[PARAMETERS][place]
        if not norm or not self._change:
            return None
        cosine = self._products[place] / norm / self._change
        return max(-1.0, min(1.0, cosine)) if math.isfinite(cosine) else None


def _reals(values: Array) -> Array:
    return values.view(values.real.dtype) if values.dtype.kind == "c" else values
