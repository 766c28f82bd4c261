"""Updates in archives become a new archive: which of its tensors are aggregated how, and where the result goes."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from fl_server_ai.aggregation.engine import Engine
from fl_server_ai.aggregation.influence import UpdateFigures
from fl_server_ai.aggregation.method import get_aggregation_class
from fl_server_ai.aggregation.state import Layout, State
from fl_server_core.archive import Archive, ArchiveWriter
from fl_server_core.archive.dtypes import is_floating

Path = str | os.PathLike[str]


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
) -> list[UpdateFigures]:
    """Aggregate updates into a new file at `out`: a copy of the template, the current model, with other values.

    `sources` have the template's names, shapes and types (`check_compatible`); weights are the sample sizes, ≥ 0 and
    not all 0. `options` are a training's `options.aggregation`: the method's own, and the bounds on sample sizes and
    norms (`AggregationOptions`), differences being those from the template. A method that has a state reads it
    from the file `state` (None: it starts afresh) and writes the new one to `state_out`. `heartbeat` is called every
    few milliseconds of work; what it raises ends the work and leaves no file.

    Returns: the figures of each update.

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
        engine.prepare(parameters, buffers_of(template, names, parameters))
        for name in names:
            writer.write(name, engine.results(name, kept if name in parameters else None))
    return engine.figures()


def parameters_of(model: Archive, names: Sequence[str]) -> list[str]:
    """Those that are floating-point or complex parameters; bare tensors count as parameters."""
    views = {model.tensors[name].view for name in model.parameter_names}
    floating = [name for name in names if is_floating(model.tensors[name].dtype)]
    return [name for name in floating if not model.is_model or model.tensors[name].view in views]


def buffers_of(model: Archive, names: Sequence[str], parameters: Collection[str]) -> list[str]:
    """The other floating-point and complex tensors."""
    return [name for name in names if name not in parameters and is_floating(model.tensors[name].dtype)]
