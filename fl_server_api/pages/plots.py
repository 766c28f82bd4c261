"""The numbers of plots, as `plot.js` draws them: docs/pages.md describes the form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fl_server_api.pages.trends import recent
from fl_server_core.models import Training
from fl_server_core.selectors.curves import TESTS, Curve

DIGITS = 6
"""Significant digits: more can't be seen, and they would double what is sent."""


def plot_name(curve: Curve) -> str:
    return f"{curve.source}:{curve.key}"


def plot_title(curve: Curve) -> str:
    return f"{curve.key}, {'of the global model' if curve.source == TESTS else 'of the updates'}"


def curve_plot(curve: Curve, training: Training) -> dict[str, Any]:
    """A curve as a plot: the mean, the mean ± the standard deviation, and what else the table shows."""
    first = training.first_round or 0
    points = curve.points
    rounds = [point.round - first + (curve.source != TESTS) for point in points]
    return {
        "title": plot_title(curve),
        "note": recent(curve.key, rounds, [point.mean for point in points]),
        "x": {"label": "round", "values": rounds},
        "series": [
            {
                "name": "mean",
                "y": [rounded(point.mean) for point in points],
                "low": [rounded(point.mean - point.deviation) for point in points],
                "high": [rounded(point.mean + point.deviation) for point in points],
            }
        ],
        "columns": [
            {"name": "deviation", "values": [rounded(point.deviation) for point in points]},
            {"name": "least", "values": [rounded(point.least) for point in points]},
            {"name": "most", "values": [rounded(point.most) for point in points]},
            {"name": "participants", "values": [point.counted for point in points]},
        ],
    }


def each_plot(curves: Mapping[str, Mapping[int, float]]) -> list[dict[str, Any]]:
    """One series for each participant, over the rounds that any of them has."""
    rounds = sorted({number for values in curves.values() for number in values})
    return [{"name": name, "y": _aligned(values, rounds)} for name, values in curves.items()]


def _aligned(values: Mapping[int, float], rounds: Sequence[int]) -> list[float | None]:
    return [rounded(values[number]) if number in values else None for number in rounds]


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
