"""The metrics of a training by round: added up by the database, however many there are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import Avg, Count, F, Max, Min, QuerySet

from fl_server_core import policies
from fl_server_core.models.metric import Metric
from fl_server_core.models.training import Training
from fl_server_core.models.user import User

TESTS, UPDATES = "tests", "updates"
"""What a metric was measured of: of the global model, or of a participant's own update."""
LARGEST = 1e100
"""What is larger counts like infinity, which is left out: PostgreSQL refuses to add up squares of more than 1e308."""


_VALUE = F("value_float")
FIGURES = {
    "mean": Avg(_VALUE),
    "least": Min(_VALUE),
    "most": Max(_VALUE),
    "squares": Avg(_VALUE * _VALUE),  # the variance of SQLite is Python's: it takes five times as long
    "counted": Count("reporter", distinct=True),
    "values": Count("pk"),
}
"""What the database adds up of the metrics of one round, or of one version."""


class Point(NamedTuple):
    """A metric in one round: mean, smallest, largest and deviation of the participants' values. counted: how many."""

    key: str
    round: int
    mean: float
    least: float
    most: float
    deviation: float
    counted: int
    values: int


@dataclass(frozen=True)
class Curve:
    """One metric over the rounds. Rounds in which nobody reported a number are left out."""

    source: str
    key: str
    points: list[Point] = field(default_factory=list)


def metric_curves(training: Training, user: User) -> list[Curve]:
    """The curves of all metrics that the user may read, by name; two statements, and one to ask who may."""
    return [curve for source in (TESTS, UPDATES) for curve in _curves(source, training, user)]


def participants_curves(training: Training, user: User, source: str, key: str) -> dict[str, dict[int, float]]:
    """One metric as each participant reported it: by name and round."""
    rows = _readable(source, training, user).filter(key=key).order_by("pk")
    values: dict[str, dict[int, float]] = defaultdict(dict)
    found: Iterable[Any] = rows.values_list("reporter__username", "step", "value_float").iterator()
    for name, step, value in found:
        values[name][step] = value  # a later one replaces it
    return {name: values[name] for name in sorted(values)}


def _curves(source: str, training: Training, user: User) -> list[Curve]:
    metrics = _readable(source, training, user)
    points = _points(metrics)
    if any(point.values > point.counted for point in points):  # somebody reported twice: their last value counts
        points = _points(last_values(metrics, "step"))
    curves: dict[str, Curve] = {}
    for point in points:
        curves.setdefault(point.key, Curve(source, point.key)).points.append(point)
    return list(curves.values())


def _points(metrics: QuerySet[Metric, Any]) -> list[Point]:
    rows = metrics.order_by("key", "step").values_list("key", "step").annotate(**FIGURES)
    return [
        Point(key, step, mean, least, most, deviation(mean, squares), counted, values)
        for key, step, mean, least, most, squares, counted, values in rows
    ]


def deviation(mean: float, squares: float) -> float:
    """The standard deviation, from the mean and the mean of the squares."""
    return math.sqrt(max(0.0, squares - mean * mean))


def reported_numbers() -> QuerySet[Metric, Any]:
    """The metrics that are numbers which can be added up, reported by somebody."""
    return Metric.objects.filter(value_float__range=(-LARGEST, LARGEST), reporter__isnull=False)


def last_values(metrics: QuerySet[Metric, Any], *by: str) -> QuerySet[Metric, Any]:
    """Each participant's last value for each key and each of `by`."""
    last = metrics.order_by().values("key", "reporter", *by).annotate(last=Max("pk")).values("last")
    return Metric.objects.filter(pk__in=last)


def _readable(source: str, training: Training, user: User) -> QuerySet[Metric, Any]:
    """The numbers reported by participants that the user may read."""
    numbers = reported_numbers().filter(step__isnull=False)
    if source == UPDATES:
        return numbers.filter(model__in=policies.updates_readable_by(user, training).order_by().values("pk"))
    if not policies.may_read_training(user, training):
        return numbers.none()
    return numbers.filter(model=training.model_id)
