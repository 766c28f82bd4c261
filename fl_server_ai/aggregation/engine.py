"""Applies a method to many tensors in blocks, so that memory does not grow with a model.

A block has the type that is computed in (`values.wide_type`). An element whose bits are the same in all updates keeps
these bits: the -inf of an attention mask, an equal NaN, an integer beyond 2**53. Equal input gives equal output, bit by
bit.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol, cast

import numpy as np

from fl_server_ai.aggregation.base import Aggregation
from fl_server_ai.aggregation.method import get_aggregation_class
from fl_server_ai.aggregation.state import Layout, State, StatePart
from fl_server_ai.aggregation.values import narrowed, normalised, squared_distances, where_equal, wide_type
from fl_server_core.archive import Archive, ArchiveWriter
from fl_server_core.archive.blocks import blocks
from fl_server_core.archive.dtypes import DTYPES, is_extended

Array = np.ndarray[Any, Any]
Path = str | os.PathLike[str]

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


def aggregate_archives(
    template: Archive,
    sources: Sequence[Archive],
    weights: Sequence[float],
    out: Path,
    *,
    method: str,
    options: Mapping[str, Any] | None = None,
    state: Path | None = None,
    state_out: Path | None = None,
    heartbeat: Callable[[], None] | None = None,
) -> None:
    """Aggregate updates into a new file at `out`: a copy of the template, the current model, with other values.

    `sources` have the template's names, shapes and types (`check_compatible`); weights are the sample sizes, ≥ 0 and
    not all 0. `options` are the method's own, a training's `options.aggregation`. A method that has a state reads it
    from the file `state` (None: it starts afresh) and writes the new one to `state_out`. `heartbeat` is called every
    few milliseconds of work; what it raises ends the work and leaves no file.

    Raises:
        CannotAggregate: too few updates, or a model, options or a state that the method cannot use.
        ValueError: the method is unknown, or the weights make no mean. ArchiveError: a tensor that cannot be written.
    """
    aggregation = get_aggregation_class(method)(options)
    aggregation.check_model(template)
    engine = Engine(aggregation, template, sources, weights, heartbeat=heartbeat)
    with ExitStack() as stack:
        writer = stack.enter_context(ArchiveWriter(template, out))
        names = writer.names()
        parameters = {name: template.tensors[name] for name in parameters_of(template, names)}
        layout = Layout.of(aggregation, parameters)
        kept = stack.enter_context(State(layout, aggregation.initial_state(), state, state_out))
        engine.select(parameters)
        for name in names:
            writer.write(name, engine.results(name, kept if name in parameters else None))


def parameters_of(model: Archive, names: Sequence[str]) -> list[str]:
    """Those that are floating-point or complex parameters; bare tensors count as parameters."""
    views = {model.tensors[name].view for name in model.parameter_names}
    floating = [name for name in names if is_floating(DTYPES[model.tensors[name].dtype])]
    return [name for name in floating if not model.is_model or model.tensors[name].view in views]


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether a type is floating-point, or complex."""
    return dtype.kind in "fc" or is_extended(dtype)


def reduce_arrays(method: Aggregation, arrays: Sequence[Array], weights: Sequence[float]) -> Array:
    """What a method's `reduce` makes of arrays of one shape and type. Raises ValueError if they differ."""
    if any(array.shape != arrays[0].shape or array.dtype != arrays[0].dtype for array in arrays):
        raise ValueError("The arrays have different shapes or types.")
    engine = Engine(method, Arrays({}), [Arrays({"": array}) for array in arrays], weights)
    engine.select(())
    parts = list(engine.results(""))
    return np.concatenate(parts).reshape(arrays[0].shape) if parts else np.empty(arrays[0].shape, arrays[0].dtype)


class Arrays:
    """Arrays in memory, by name."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays

    def array(self, name: str) -> Array:
        return self._arrays[name]


class Engine:
    """One method at work on the updates of one round. First `select`, then `results` for each tensor."""

    def __init__(
        self,
        method: Aggregation,
        current: Tensors,
        sources: Sequence[Tensors],
        weights: Sequence[float],
        *,
        heartbeat: Callable[[], None] | None = None,
    ) -> None:
        self._shares = normalised(weights, len(sources))
        method.check_count(len(sources))
        self._method = method
        self._current = current
        self._sources = sources
        self._weights = weights
        self._has_step = type(method).step is not Aggregation.step
        self._beat = _Beat(heartbeat)

    def select(self, parameters: Collection[str]) -> None:
        """Let the method choose the updates, if it does, by their distances in these tensors."""
        if type(self._method).select is Aggregation.select:
            return
        weights = self._method.select(self._distances(parameters), np.array(self._weights, np.float64))
        chosen = np.flatnonzero(weights).tolist()
        self._sources = [self._sources[at] for at in chosen]
        self._shares = normalised(weights[chosen].tolist(), len(chosen))

    def results(self, name: str, state: State | None = None) -> Iterator[Array]:
        """The new values of a tensor, in the order of a C-contiguous array, as one-dimensional arrays of its type.

        `state` is given for parameters, which take the method's step.
        """
        arrays = [source.array(name) for source in self._sources]
        is_stepping = state is not None and self._has_step and arrays[0].dtype.kind != "c"
        if is_stepping:
            arrays.append(self._current.array(name))
        at = 0
        for parts in blocks(arrays, self._block_size(arrays[0].dtype)):
            flat = [np.ascontiguousarray(part).reshape(-1) for part in parts]
            if is_stepping and state is not None:
                yield self._stepped(flat[:-1], flat[-1], state.part(name, at, flat[0].size))
            else:
                yield self._reduced(flat)
            at += flat[0].size
            self._beat.count(flat[0].size * len(flat))

    def _block_size(self, dtype: np.dtype[Any]) -> int:
        if not self._method.is_stacking and dtype == wide_type(dtype):
            return _BLOCK
        return min(_BLOCK, max(_LEAST, _STACK // len(self._sources)))

    @np.errstate(all="ignore")  # inf - inf is no number, as it should be, and what overflows is infinite
    def _reduced(self, parts: list[Array]) -> Array:
        kept = where_equal(parts)
        if kept is not None and kept.all():
            return parts[0]
        dtype = parts[0].dtype
        values = self._method.reduce(self._rows(parts), self._shares)
        result = narrowed(values, dtype)
        return result if kept is None else np.where(kept, parts[0], result)

    @np.errstate(all="ignore")
    def _stepped(self, parts: list[Array], current: Array, state: StatePart) -> Array:
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
            return narrowed(values, dtype)
        state.write({key: np.where(moved, array, before[key]) for key, array in after.items()})
        result = narrowed(np.where(moved, values, reduced), dtype)
        return result if kept is None else np.where(kept & ~moved, parts[0], result)

    def _rows(self, parts: list[Array]) -> Array:
        wide = wide_type(parts[0].dtype)
        if not self._method.is_stacking and parts[0].dtype == wide:
            return cast(Array, parts)  # rows either way
        return _stacked(parts, wide)

    def _distances(self, parameters: Collection[str]) -> Array:
        count = len(self._sources)
        total = np.zeros((count, count))
        for name in parameters:
            arrays = [source.array(name) for source in self._sources]
            wide = np.dtype(np.complex128 if arrays[0].dtype.kind == "c" else np.float64)
            for parts in blocks(arrays, max(_LEAST, _PAIRS // count)):
                rows = _stacked([np.ascontiguousarray(part).reshape(-1) for part in parts], wide)
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
