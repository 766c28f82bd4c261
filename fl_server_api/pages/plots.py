"""The numbers of plots, as `plot.js` draws them: docs/pages.md describes the form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fl_server_api.pages.trends import recent
from fl_server_core.models import Training
from fl_server_core.selectors.curves import TESTS, Curve
from fl_server_core.selectors.durations import Duration
from fl_server_core.selectors.sums import Point
from fl_server_core.selectors.update_figures import Spread

DIGITS = 6
"""Significant digits: more can't be seen, and they would double what is sent."""
FIGURES = "figures"
"""The source of plots of what the server measured of the updates."""
UPDATE = "update"
TITLES = {
    "norm": "norm of each update’s difference from the global model",
    "cosine": "cosine between each update’s difference and the round’s",
}


def plot_name(curve: Curve) -> str:
    return f"{curve.source}:{curve.key}"


def plot_title(curve: Curve) -> str:
    return f"{curve.key}, {'of the global model' if curve.source == TESTS else 'of the updates'}"


def curve_plot(curve: Curve, training: Training, smoothing: float = 0.0) -> dict[str, Any]:
    """A curve as a plot: the mean, the mean ± the standard deviation, and what else the table shows.

    smoothing: of a further series, as `smoothed` has it; 0: there is none.
    """
    first = training.first_round or 0
    points = curve.points
    means = [point.mean for point in points]
    extra = [{"name": "smoothed", "y": _all_rounded(smoothed(means, smoothing))}] if smoothing else []
    rounds = [point.number - first + (curve.source != TESTS) for point in points]
    return {
        "title": plot_title(curve),
        "note": recent(curve.key, rounds, means),
        "x": {"label": "round", "values": rounds},
        "series": [*extra, _mean_series(points)],
        "columns": _spread_columns(points),
    }


def version_plot(key: str, points: Sequence[Point]) -> dict[str, Any]:
    """A metric's mean in each version, with the standard deviation over the participants."""
    return {
        "title": f"{key}, by version",
        "x": {"label": "version", "values": [point.number for point in points]},
        "series": [_mean_series(points)],
        "columns": _spread_columns(points),
    }


def _mean_series(points: Sequence[Point]) -> dict[str, Any]:
    return {
        "name": "mean",
        "y": _all_rounded(point.mean for point in points),
        "low": _all_rounded(point.mean - point.deviation for point in points),
        "high": _all_rounded(point.mean + point.deviation for point in points),
    }


def _spread_columns(points: Sequence[Point]) -> list[dict[str, Any]]:
    return [
        {"name": "deviation", "values": _all_rounded(point.deviation for point in points)},
        {"name": "least", "values": _all_rounded(point.least for point in points)},
        {"name": "most", "values": _all_rounded(point.most for point in points)},
        {"name": "participants", "values": [point.counted for point in points]},
    ]


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """The exponential moving average: each value is weight · the one before + (1 - weight) · the measured one.

    It begins with the first value. weight: from 0 (nothing is smoothed) to less than 1.
    """
    found: list[float] = []
    for value in values:
        found.append(weight * found[-1] + (1 - weight) * value if found else value)
    return found


def each_plot(curves: Mapping[str, Mapping[int, float]], smoothing: float = 0.0) -> list[dict[str, Any]]:
    """One series for each participant, over the rounds that any of them has."""
    rounds = sorted({number for values in curves.values() for number in values})
    return [{"name": name, "y": _aligned(values, rounds, smoothing)} for name, values in curves.items()]


def duration_plots(durations: Iterable[Duration], training: Training) -> dict[str, dict[str, Any]]:
    """Bars of what the rounds of each phase took, in seconds."""
    phases: dict[str, list[Duration]] = {}
    for one in durations:
        phases.setdefault(one.phase, []).append(one)
    return {f"durations:{phase}": _duration_plot(phase, found, training) for phase, found in phases.items()}


def _duration_plot(phase: str, found: Sequence[Duration], training: Training) -> dict[str, Any]:
    first = training.first_round or 0
    parts = ("waiting", "notifying", "computing")
    return {
        "title": f"seconds of each {phase} round",
        "stacked": True,
        "x": {"label": "round", "values": [one.number - first + (phase == UPDATE) for one in found]},
        "series": [{"name": name, "y": [_or_gap(getattr(one, name)) for one in found]} for name in parts],
        "columns": [{"name": "total", "values": [_or_gap(one.seconds) for one in found]}],
    }


def figure_plots(spreads: Mapping[str, Sequence[Spread]], training: Training) -> dict[str, dict[str, Any]]:
    """The figures of the updates: the median, the smallest and largest, and who is the farthest from the median."""
    return {f"{FIGURES}:{figure}": _figure_plot(figure, found, training) for figure, found in spreads.items()}


def _figure_plot(figure: str, found: Sequence[Spread], training: Training) -> dict[str, Any]:
    first = training.first_round or 0
    return {
        "title": TITLES[figure],
        "x": {"label": "round", "values": [one.round - first + 1 for one in found]},
        "series": [
            {
                "name": "median",
                "y": [_or_gap(one.median) for one in found],
                "low": [_or_gap(one.least) for one in found],
                "high": [_or_gap(one.most) for one in found],
            }
        ],
        "columns": [
            {"name": "participants", "values": [one.counted for one in found]},
            {"name": "farthest from the median", "values": [_farthest(one) for one in found], "told": True},
        ],
    }


def _farthest(spread: Spread) -> str | None:
    return f"{spread.farthest[0]} ({spread.farthest[1]:.4g})" if spread.farthest else None


def _aligned(values: Mapping[int, float], rounds: Sequence[int], smoothing: float) -> list[float | None]:
    known = [number for number in rounds if number in values]
    shown = dict(zip(known, smoothed([values[number] for number in known], smoothing), strict=True))
    return [_or_gap(shown.get(number)) for number in rounds]


def _all_rounded(values: Iterable[float]) -> list[float | None]:
    return [rounded(value) for value in values]


def rounded(value: float) -> float:
    """To as many significant digits as a plot has."""
    return float(f"{value:.{DIGITS}g}")


def _or_gap(value: float | None) -> float | None:
    return None if value is None else rounded(value)
