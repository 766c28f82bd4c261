"""What participants reported, added up by the database, however many metrics there are."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from django.db.models import Avg, Count, F, Max, Min, QuerySet

from fl_server_core.models.metric import Metric

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
    """A metric in one round or of one version, whose number it is: mean, smallest, largest and deviation of the
    participants' values. counted: how many participants. values: how many values.
    """

    key: str
    number: int
    mean: float
    least: float
    most: float
    deviation: float
    counted: int
    values: int


def points_by(column: str, metrics: QuerySet[Metric, Any]) -> list[Point]:
    """By key and a column of numbers: one statement, or two where somebody reported a value twice: the last counts."""
    points = _points(column, metrics)
    if any(point.values > point.counted for point in points):
        points = _points(column, last_values(metrics, column))
    return points


def _points(column: str, metrics: QuerySet[Metric, Any]) -> list[Point]:
    rows = metrics.order_by("key", column).values_list("key", column).annotate(**FIGURES)
    return [
        Point(key, number, mean, least, most, _deviation(mean, squares), counted, values)
        for key, number, mean, least, most, squares, counted, values in rows
    ]


def _deviation(mean: float, squares: float) -> float:
    """The standard deviation, from the mean and the mean of the squares."""
    return math.sqrt(max(0.0, squares - mean * mean))


def reported_numbers() -> QuerySet[Metric, Any]:
    """The metrics that are numbers which can be added up, reported by somebody."""
    return Metric.objects.filter(value_float__range=(-LARGEST, LARGEST), reporter__isnull=False)


def last_values(metrics: QuerySet[Metric, Any], *by: str) -> QuerySet[Metric, Any]:
    """Each participant's last value for each key and each of `by`."""
    last = metrics.order_by().values("key", "reporter", *by).annotate(last=Max("pk")).values("last")
    return Metric.objects.filter(pk__in=last)
