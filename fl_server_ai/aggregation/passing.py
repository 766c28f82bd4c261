"""Updates that are passed on instead of aggregated: measured, and clipped as the options say."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fl_server_ai.aggregation.archives import buffers_of, parameters_of
from fl_server_ai.aggregation.engine import Engine
from fl_server_ai.aggregation.fed_avg import MeanAggregation
from fl_server_ai.aggregation.influence import BUFFERS, GROUPS, PARAMETERS, UpdateFigures, clipped, clipping_scales
from fl_server_core.archive import (
    Archive,
    ArchiveWriter,
    TensorInfo,
    check_compatible,
    check_writable,
    copy_tensors,
)
from fl_server_core.archive.blocks import blocks

Array = np.ndarray[Any, Any]

_BLOCK = 1 << 16


def measure_archives(
    template: Archive,
    sources: Sequence[Archive],
    *,
    options: Mapping[str, Any] | None = None,
    heartbeat: Callable[[], None] | None = None,
) -> list[UpdateFigures]:
    """How far updates are from the template, the current model, and by what each is to be clipped.

    Raises CannotAggregate for an option with an invalid value.
    """
    if not sources:
        return []
    method = MeanAggregation(options)
    engine = Engine(method, template, sources, [1] * len(sources), heartbeat=heartbeat)
    engine.group(*_groups_of(template, [info.name for info in _distinct(template)]))
    norms = engine.norms()
    scales = clipping_scales(norms, method.bounds) if method.bounds.is_clipping else np.ones((GROUPS, len(sources)))
    return [
        UpdateFigures(norm=norm, scale=(parameters, buffers))
        for norm, parameters, buffers in zip(norms[PARAMETERS].tolist(), *scales.tolist(), strict=True)
    ]


def copy_clipped(template: Archive, values: Archive, out: str | os.PathLike[str], scale: tuple[float, float]) -> None:
    """Write the template's file with the values of another archive that fits, its difference being clipped.

    scale: by what the difference of parameters and that of buffers is multiplied. Nothing else of the other archive
    gets into the new file. Raises ArchiveError if the two do not fit.
    """
    if scale == (1.0, 1.0):
        copy_tensors(template, values, out)
        return
    check_compatible(template, values)
    check_writable(template)
    with ArchiveWriter(template, out) as writer:
        names = writer.names()
        parameters, buffers = _groups_of(template, names)
        factors = dict.fromkeys(parameters, scale[PARAMETERS]) | dict.fromkeys(buffers, scale[BUFFERS])
        for name in names:
            writer.write(name, _parts(values.array(name), template.array(name), factors.get(name, 1.0)))


def _distinct(model: Archive) -> Iterable[TensorInfo]:
    """One of those that share their memory."""
    return {info.view: info for info in reversed(list(model.tensors.values()))}.values()


def _groups_of(model: Archive, names: Sequence[str]) -> tuple[list[str], list[str]]:
    parameters = parameters_of(model, names)
    return parameters, buffers_of(model, names, parameters)


def _parts(values: Array, current: Array, scale: float) -> Iterator[Array]:
    for pair in blocks([values, current], _BLOCK):
        part, before = (np.ascontiguousarray(array).reshape(-1) for array in pair)
        yield clipped(part, before, scale)
