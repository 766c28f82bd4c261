"""Applies a method to many tensors in blocks, so that memory does not grow with a model.

A block has the type that is computed in (`values.wide_type`). An element whose bits are the same in all updates keeps
these bits: the -inf of an attention mask, an equal NaN, an integer beyond 2**53. Equal input gives equal output, bit by
bit.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np

from fl_server_ai.aggregation.base import Aggregation
from fl_server_ai.aggregation.influence import (
    BUFFERS,
    GROUPS,
    PARAMETERS,
    Meter,
    UpdateFigures,
    capped,
    clipped,
    clipping_scales,
    difference,
    length,
)
from fl_server_ai.aggregation.state import State, StatePart
from fl_server_ai.aggregation.values import narrowed, normalised, squared_distances, where_equal, wide_type
from fl_server_core.archive.blocks import blocks

Array = np.ndarray[Any, Any]

_BLOCK = 1 << 16
"""Elements of a tensor at a time: the operands of one operation stay in a core's cache."""
_STACK = 1 << 20
"""Elements of all updates together, where they are copied into one array."""
_PAIRS = 1 << 17
"""The same where each update is compared with each other one, so that all stay in a core's cache."""
_LEAST = 64
"""Elements of a tensor at a time, however many updates there are."""
_BEAT = 1 << 24
"""Elements read between two heartbeats: some ten milliseconds' work."""


class Tensors(Protocol):
    """Arrays by name: an archive's, or a module's."""

    def array(self, name: str, /) -> Array: ...


class Arrays:
    """Arrays in memory, by name."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays

    def array(self, name: str) -> Array:
        return self._arrays[name]


class Engine:
    """One method at work on the updates of one round. First `prepare`, then `results` for each tensor."""

    def __init__(
        self,
        method: Aggregation,
        current: Tensors,
        sources: Sequence[Tensors],
        weights: Sequence[float],
        *,
        heartbeat: Callable[[], None] | None = None,
    ) -> None:
        self._weights = capped(weights, method.bounds)
        self._shares = normalised(self._weights, len(sources))
        method.check_count(len(sources))
        self._method = method
        self._current = current
        self._sources = sources
        self._counting = list(range(len(sources)))
        self._has_step = type(method).step is not Aggregation.step
        self._groups: dict[str, int] = {}
        self._scales = np.ones((GROUPS, len(sources)))
        self._meter = Meter(len(sources))
        self._beat = _Beat(heartbeat)

    def prepare(self, parameters: Collection[str] = (), buffers: Collection[str] = ()) -> None:
        """Find by what updates are clipped, and let the method choose among them, if it does, by their distances.

        Both as the options say. Differences are measured in the parameters and in the floating-point buffers named.
        """
        self.group(parameters, buffers)
        if self._method.bounds.is_clipping:
            self._scales = clipping_scales(self.norms(), self._method.bounds)
        if type(self._method).select is Aggregation.select:
            return
        weights = self._method.select(self._distances(parameters), np.array(self._weights, np.float64))
        self._counting = np.flatnonzero(weights).tolist()
        self._shares = normalised(weights[self._counting].tolist(), len(self._counting))

    def group(self, parameters: Collection[str], buffers: Collection[str]) -> None:
        """Say which tensors are measured, and clipped."""
        self._groups = dict.fromkeys(parameters, PARAMETERS) | dict.fromkeys(buffers, BUFFERS)

    def norms(self) -> Array:
        """The norm of each update's difference from the current model, in float64: shape (groups, updates)."""
        found = np.zeros((GROUPS, len(self._sources)))
        for name, group in self._groups.items():
            for parts, current in self._parts(name, _BLOCK, with_current=True):
                for place, part in enumerate(parts):
                    found[group, place] = math.hypot(found[group, place], length(difference(part, current)))
                self._beat.count(current.size * (len(parts) + 1))
        return found

    def results(self, name: str, state: State | None = None) -> Iterator[Array]:
        """The new values of a tensor, in the order of a C-contiguous array, as one-dimensional arrays of its type.

        `state` is given for parameters, which take the method's step.
        """
        group = self._groups.get(name)
        dtype = self._sources[0].array(name).dtype
        is_stepping = state is not None and self._has_step and dtype.kind != "c"
        at = 0
        for parts, current in self._parts(name, self._block_size(dtype), with_current=group is not None):
            rows = self._clipped(parts, current, group)
            rows = [rows[place] for place in self._counting]
            if is_stepping and state is not None:
                reduced, result = self._stepped(rows, current, state.part(name, at, current.size))
            else:
                reduced, result = self._reduced(rows)
            if group is not None:
                self._meter.add(group, parts, current, reduced)
            yield result
            at += result.size
            self._beat.count(result.size * len(parts))

    def figures(self) -> list[UpdateFigures]:
        """Of each update, after all results."""
        count = len(self._sources)
        shares = np.zeros(count)
        shares[self._counting] = self._shares if self._method.is_weighted else 1 / len(self._counting)
        return self._meter.figures(shares.tolist(), self._scales)

    def _parts(self, name: str, size: int, *, with_current: bool) -> Iterator[tuple[list[Array], Array]]:
        """Corresponding one-dimensional parts of the updates, and of the current model; otherwise an empty array."""
        arrays = [source.array(name) for source in self._sources]
        if with_current:
            arrays.append(self._current.array(name))
        for parts in blocks(arrays, size):
            flat = [np.ascontiguousarray(part).reshape(-1) for part in parts]
            current = flat.pop() if with_current else flat[0][:0]
            yield flat, current

    def _clipped(self, parts: list[Array], current: Array, group: int | None) -> list[Array]:
        if group is None or not self._method.bounds.is_clipping:
            return parts
        scales = self._scales[group].tolist()
        return [clipped(part, current, scale) for part, scale in zip(parts, scales, strict=True)]

    def _block_size(self, dtype: np.dtype[Any]) -> int:
        if not self._method.is_stacking and dtype == wide_type(dtype):
            return _BLOCK
        return min(_BLOCK, max(_LEAST, _STACK // len(self._counting)))

    @np.errstate(all="ignore")  # inf - inf is no number, as it should be, and what overflows is infinite
    def _reduced(self, parts: list[Array]) -> tuple[Array, Array]:
        """What the method makes of the updates, in the wide type and in their own."""
        kept = where_equal(parts)
        if kept is not None and kept.all():
            return parts[0], parts[0]
        values = self._method.reduce(self._rows(parts), self._shares)
        result = narrowed(values, parts[0].dtype)
        return values, result if kept is None else np.where(kept, parts[0], result)

    @np.errstate(all="ignore")
    def _stepped(self, parts: list[Array], current: Array, state: StatePart) -> tuple[Array, Array]:
        """What the method's `reduce` makes of the updates, and the model's new values after its step."""
        dtype, wide = parts[0].dtype, wide_type(parts[0].dtype)
        kept = where_equal(parts)
        reduced = self._method.reduce(self._rows(parts), self._shares)
        if kept is not None:
            reduced = np.where(kept, parts[0].astype(wide), reduced)
        now, before = current.astype(wide), state.read()
        values, after = self._method.step(now, reduced, dict(before))
        # One huge update must not stop the optimizer for ever: where a step overflows, it is not taken.
        finite = (np.isfinite(array) for array in (now, reduced, narrowed(values, dtype).astype(wide), *after.values()))
        moved: Array = np.logical_and.reduce(list(finite))
        if moved.all():
            state.write(after)
            return reduced, narrowed(values, dtype)
        state.write({key: np.where(moved, array, before[key]) for key, array in after.items()})
        result = narrowed(np.where(moved, values, reduced), dtype)
        return reduced, result if kept is None else np.where(kept & ~moved, parts[0], result)

    def _rows(self, parts: list[Array]) -> Array:
        wide = wide_type(parts[0].dtype)
        if not self._method.is_stacking and parts[0].dtype == wide:
            return cast(Array, parts)  # rows either way
        return _stacked(parts, wide)

    def _distances(self, parameters: Collection[str]) -> Array:
        count = len(self._sources)
        total = np.zeros((count, count))
        is_clipping = self._method.bounds.is_clipping
        for name in parameters:
            dtype = self._sources[0].array(name).dtype
            wide = np.dtype(np.complex128 if dtype.kind == "c" else np.float64)
            for parts, current in self._parts(name, max(_LEAST, _PAIRS // count), with_current=is_clipping):
                rows = _stacked(self._clipped(parts, current, PARAMETERS), wide)
                with np.errstate(all="ignore"):
                    total += squared_distances(rows.view(np.float64))
                self._beat.count(rows.size * max(1, count // 2))
        return total


def _stacked(parts: list[Array], wide: np.dtype[Any]) -> Array:
    rows = np.empty((len(parts), parts[0].size), wide)
    for row, part in zip(rows, parts, strict=True):
        row[...] = part
    return rows


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
