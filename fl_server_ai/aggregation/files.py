from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fl_server_ai.aggregation.archives import aggregate_archives
from fl_server_ai.aggregation.influence import UpdateFigures
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
) -> list[UpdateFigures]:
    """Aggregate model files into a new one at `out`, without torch and in the memory of a few blocks.

    `template` is the current model, whose file the result is a copy of with other values; None: the first of `paths`.
    Everything else is as in `aggregate_archives`. New files take their places when all is done: `out` may be one of
    `paths`, and `state_out` the file `state`.

    Raises:
        ArchiveError: a file is not what torch.save or torch.jit.save writes, or does not fit the template.
        CannotAggregate: too few files, or a model, options or a state that the method cannot use.
        ValueError: the method is unknown, or the weights make no mean.
    """
    if not paths:
        raise ValueError("At least one file is needed.")
    with ExitStack() as stack:
        first = stack.enter_context(open_archive(paths[0] if template is None else template))
        sources = []
        for path in paths:
            source = stack.enter_context(open_archive(path, like=first))
            if source.tensors is not first.tensors:
                check_compatible(first, source)
            sources.append(source)
        new = stack.enter_context(_place(out))
        new_state = stack.enter_context(_place(state_out)) if state_out is not None else None
        return aggregate_archives(
            first,
            sources,
            weights,
            new,
            method=method,
            options=options,
            state=state,
            state_out=new_state,
            heartbeat=heartbeat,
        )


@contextmanager
def _place(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Where to write a file that takes the place of this one once all is done."""
    part = Path(f"{os.fspath(path)}.part")
    yield part
    if part.exists():
        part.replace(path)
