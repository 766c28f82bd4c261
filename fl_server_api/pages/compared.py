"""Trainings side by side in words and figures: each a line, their best rounds, and the options that differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from fl_server_api.pages.plots import rounded
from fl_server_api.pages.trends import best_of, best_sentence, recent
from fl_server_core.models.training import TrainingState
from fl_server_core.selectors.comparison import ComparedTraining, MetricMeans, RoundMean
from fl_server_core.selectors.curves import TESTS, UPDATES

Name = tuple[str, str]
Curves = Mapping[str, Sequence[RoundMean]]
MAX_METRICS = 20
TONES = {TrainingState.INITIAL: "", TrainingState.COMPLETED: "good", TrainingState.ERROR: "bad"}
"""By state; all others run."""


@dataclass(frozen=True)
class Reached:
    """A metric of one training. best: where its name tells what is better."""

    title: str
    final: str
    best: str
    trend: str


@dataclass(frozen=True)
class Line:
    """A training. why: of one in error."""

    id: UUID
    name: str
    word: str
    tone: str
    why: str
    method: str
    people: int
    rounds: str
    time: str
    bytes_moved: int
    reached: list[Reached]


def lines_of(
    trainings: Sequence[ComparedTraining], names: Mapping[UUID, str], means: Mapping[UUID, MetricMeans]
) -> list[Line]:
    """The trainings, in the order in which they were asked for."""
    return [_line(one, names[one.row.pk], means.get(one.row.pk, {})) for one in trainings]


def _line(training: ComparedTraining, name: str, means: MetricMeans) -> Line:
    row = training.row
    method = row.get_aggregation_method_display()
    return Line(
        id=row.pk,
        name=name,
        word=row.get_state_display(),
        tone=TONES.get(TrainingState(row.state), "busy"),
        why=(training.failure or "It was stopped.") if row.state == TrainingState.ERROR else "",
        method=method if row.uncertainty_method == "NONE" else f"{method}, {row.get_uncertainty_method_display()}",
        people=training.people,
        rounds=f"{training.closed} of {row.target_num_updates}",
        time=_time(training.opened_at, None if row.is_running else training.closed_at),
        bytes_moved=training.bytes_moved,
        reached=[_reached(source, key, means[source, key]) for source, key in list(means)[:MAX_METRICS]],
    )


def _time(start: datetime | None, end: datetime | None) -> str:
    if start is None:
        return "–"
    seconds = int(((end or timezone.now()) - start).total_seconds())
    hours, minutes = divmod(seconds // 60, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def _reached(source: str, key: str, points: Sequence[RoundMean]) -> Reached:
    best = best_of(key, {"": points})
    told = f"{best.value:.4g} in round {best.round}" if best else ""
    trend = recent(key, [point.round for point in points], [point.mean for point in points])
    return Reached(metric_title(source, key), f"{points[-1].mean:.4g}", told, trend)


def metric_title(source: str, key: str) -> str:
    return key if source == TESTS else f"{key} of the updates"


def headlines(names: Mapping[UUID, str], means: Mapping[UUID, MetricMeans]) -> list[str]:
    """Which training was best, by each metric that the test rounds measured, or else by those of the updates."""
    curves = _by_metric(names, means)
    wanted = TESTS if any(source == TESTS for source, _ in curves) else UPDATES
    told = [best_sentence(metric_title(*name), found) for name, found in curves.items() if name[0] == wanted]
    return [sentence for sentence in told if sentence][:MAX_METRICS]


def means_plots(names: Mapping[UUID, str], means: Mapping[UUID, MetricMeans]) -> dict[str, dict[str, Any]]:
    """One plot for each metric, with one line for each training that has it."""
    return {f"{source}:{key}": _plot(source, key, found)
            for (source, key), found in list(_by_metric(names, means).items())[:MAX_METRICS]}  # fmt: skip


def _by_metric(names: Mapping[UUID, str], means: Mapping[UUID, MetricMeans]) -> dict[Name, Curves]:
    found: dict[Name, dict[str, Sequence[RoundMean]]] = {}
    for training_id, curves in means.items():
        for name, points in curves.items():
            found.setdefault(name, {})[names[training_id]] = points
    return {name: found[name] for name in sorted(found)}


def _plot(source: str, key: str, curves: Curves) -> dict[str, Any]:
    rounds = sorted({point.round for points in curves.values() for point in points})
    series = []
    for name, points in curves.items():
        values = dict(points)
        series.append({"name": name, "y": [rounded(values[at]) if at in values else None for at in rounds]})
    title = f"{key}, {'of the global model' if source == TESTS else 'of the updates'}"
    return {"title": title, "x": {"label": "round", "values": rounds}, "series": series}


def differing_options(trainings: Sequence[ComparedTraining]) -> list[tuple[str, list[str]]]:
    """What was asked of them, as far as it isn't the same: name, and the value of each training."""
    asked = [_asked(training) for training in trainings]
    keys = dict.fromkeys(key for one in asked for key in one)
    rows = [(key, [one.get(key, "–") for one in asked]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _asked(training: ComparedTraining) -> dict[str, str]:
    row = training.row
    return {
        "actor": row.actor.username,
        "aggregation method": str(row.get_aggregation_method_display()),
        "uncertainty method": str(row.get_uncertainty_method_display()),
        "target rounds": str(row.target_num_updates),
        "participants": str(training.people),
        "metric names": _text(row.metric_names),
        **dict(_flat("", row.options)),
    }


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    """Nested options by their path: aggregation.clipping_norm."""
    if isinstance(value, Mapping) and value:
        return [found for key in value for found in _flat(f"{prefix}.{key}" if prefix else str(key), value[key])]
    return [(prefix, _text(value))] if prefix else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
