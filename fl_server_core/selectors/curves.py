"""The metrics of a training by round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from fl_server_core import policies
from fl_server_core.models.metric import Metric
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.sums import Point, points_by, reported_numbers

TESTS, UPDATES = "tests", "updates"
"""What a metric was measured of: of the global model, or of a participant's own update."""


@dataclass(frozen=True)
class Curve:
    """One metric over the rounds: `number` is the round's. Rounds in which nobody reported a number are left out."""

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
    curves: dict[str, Curve] = {}
    for point in points_by("step", _readable(source, training, user)):
        curves.setdefault(point.key, Curve(source, point.key)).points.append(point)
    return list(curves.values())


def _readable(source: str, training: Training, user: User) -> QuerySet[Metric, Any]:
    """The numbers reported by participants that the user may read."""
    numbers = reported_numbers().filter(step__isnull=False)
    if source == UPDATES:
        return numbers.filter(model__in=policies.updates_readable_by(user, training).order_by().values("pk"))
    if not policies.may_read_training(user, training):
        return numbers.none()
    return numbers.filter(model=training.model_id)
