"""A model in words, and the numbers of its plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fl_server_api.pages.plots import rounded
from fl_server_core.models import LocalModel, MeanModel, Model, SWAGModel
from fl_server_core.selectors.model_page import MAX_METRICS, ShownVersion, VersionPoint

KINDS: dict[type[Model], str] = {SWAGModel: "SWAG model", MeanModel: "Mean model", LocalModel: "Update"}


def kind_of(model: Model) -> str:
    return KINDS.get(type(model), "Global model")


def standing(model: Model, versions: Sequence[ShownVersion]) -> str:
    """What there is of the model, in a sentence or two."""
    if isinstance(model, MeanModel):
        return "A mean of other models. It has no file of its own; an inference asks every member."
    if isinstance(model, LocalModel):
        return f"A participant's update of round {model.round}, from {model.sample_size} samples."
    current = next((version for version in versions if version.is_current), None)
    if current is None:
        return "The model has no version yet."
    figures = ", ".join(f"{key} {value:.4g}" for key, value in current.metrics.items())
    tested = f"Its means in tests: {figures}." if figures else "It has not been tested."
    return f"Version {current.row.number} is the current one. {tested}"


def version_plots(points: Sequence[VersionPoint]) -> dict[str, dict[str, Any]]:
    """One plot for each metric: the mean of each version, with the standard deviation over the participants."""
    by_key: dict[str, list[VersionPoint]] = {}
    for point in points:
        by_key.setdefault(point.key, []).append(point)
    return {key: _plot(key, found) for key, found in list(by_key.items())[:MAX_METRICS]}


def _plot(key: str, points: Sequence[VersionPoint]) -> dict[str, Any]:
    return {
        "title": f"{key}, by version",
        "x": {"label": "version", "values": [point.version for point in points]},
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
