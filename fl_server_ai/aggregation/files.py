from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from fl_server_ai.aggregation.engine import aggregate_archives
from fl_server_core.archive import check_compatible, open_archive


def aggregate_files(
    paths: Sequence[str | os.PathLike[str]],
    weights: Sequence[float],
    out: str | os.PathLike[str],
    method: str = "FedAvg",
    *,
    template: str | os.PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    state: str | os.PathLike[str] | None = None,
    state_out: str | os.PathLike[str] | None = None,
    heartbeat: Callable[[], None] | None = None,
) -> None:
    """Aggregate model files into a new one at `out`, without torch and in the memory of a few blocks.

    `template` is the current model, whose file the result is a copy of with other values; None: the first of `paths`.
    Everything else is as in `aggregate_archives`.

    Raises:
        ArchiveError: a file is not what torch.save or torch.jit.save writes, or does not fit the template.
        CannotAggregate: too few files, or a model, options or a state that the method cannot use.
        ValueError: the method is unknown, or the weights make no mean.
    """
    if not paths:
        raise ValueError("There is no file to aggregate.")
    with ExitStack() as stack:
        first = stack.enter_context(open_archive(paths[0] if template is None else template))
        sources = []
        for path in paths:
            source = stack.enter_context(open_archive(path, like=first))
            if source.tensors is not first.tensors:
                check_compatible(first, source)
            sources.append(source)
        aggregate_archives(
            first,
            sources,
            weights,
            out,
            method=method,
            options=options,
            state=state,
            state_out=state_out,
            heartbeat=heartbeat,
        )
