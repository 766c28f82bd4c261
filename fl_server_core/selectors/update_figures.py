"""How each update was beside the others, round by round."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from fl_server_core.models.round import RoundOutcome
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.figures import BY_PARTICIPANT
from fl_server_core.selectors.readers import TrainingReader

FIGURES = ("norm", "cosine")
"""Those that can be compared between rounds."""
FEW = 3
"""Of fewer updates none is the farthest from the others."""

OfEach = Mapping[str, float]


class Spread(NamedTuple):
    """A figure in one round. farthest: whose is the farthest from the median, and what it is."""

    round: int
    median: float
    least: float
    most: float
    counted: int
    farthest: tuple[str, float] | None


def figure_spreads(training: Training, reader: TrainingReader) -> dict[str, list[Spread]]:
    """By figure and round: of the updates that the reader may see. Two statements."""
    spreads: dict[str, list[Spread]] = {}
    names, rounds = _figures(training, reader)
    for number, of_each in rounds:
        for figure in FIGURES:
            values = {who: found[figure] for who, found in of_each.items() if found.get(figure) is not None}
            if values:
                spreads.setdefault(figure, []).append(_spread(number, values, names))
    return spreads


def participants_figures(training: Training, reader: TrainingReader, figure: str) -> dict[str, dict[int, float]]:
    """One figure by participant's name and round: of the updates that the reader may see. Two statements."""
    values: dict[str, dict[int, float]] = defaultdict(dict)
    names, rounds = _figures(training, reader)
    for number, of_each in rounds:
        for who, found in of_each.items():
            if found.get(figure) is not None:
                values[_name(names, who)][number] = found[figure]
    return {name: values[name] for name in sorted(values)}


def _spread(number: int, values: OfEach, names: Mapping[str, str]) -> Spread:
    median = statistics.median(values.values())
    farthest = max(values, key=lambda who: abs(values[who] - median))
    told = (_name(names, farthest), values[farthest]) if len(values) >= FEW else None
    return Spread(number, median, min(values.values()), max(values.values()), len(values), told)


def _figures(
    training: Training, reader: TrainingReader
) -> tuple[dict[str, str], list[tuple[int, dict[str, Mapping[str, Any]]]]]:
    """The names of the participants by their ids, and by round what the reader may see of each."""
    rows = training.rounds.filter(outcome=RoundOutcome.CLOSED, figures__has_key=BY_PARTICIPANT).order_by("number", "id")
    rounds = [
        (number, {who: found for who, found in of_each.items() if reader.sees_figures_of(who)})
        for number, of_each in rows.values_list("number", f"figures__{BY_PARTICIPANT}")
    ]
    ids = {who for _, of_each in rounds for who in of_each}
    return dict(_names_of(ids)), rounds


def _names_of(ids: set[str]) -> Iterator[tuple[str, str]]:
    # In as many statements as SQLite's limit on parameters needs.
    for key, user in User.objects.only("username").in_bulk([UUID(one) for one in sorted(ids)]).items():
        yield str(key), user.username


def _name(names: Mapping[str, str], who: str) -> str:
    """Accounts may be deleted since."""
    return names.get(who, f"deleted account {who[:8]}")
