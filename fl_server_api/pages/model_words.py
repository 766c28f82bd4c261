"""A model in words, and the numbers of its plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fl_server_api.pages.plots import version_plot
from fl_server_core.models import LocalModel, MeanModel, Model, SWAGModel
from fl_server_core.selectors.model_page import MAX_METRICS, ShownVersion
from fl_server_core.selectors.sums import Point

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


def version_plots(points: Sequence[Point]) -> dict[str, dict[str, Any]]:
    """One plot for each metric, the first of them by name."""
    by_key: dict[str, list[Point]] = {}
    for point in points:
        by_key.setdefault(point.key, []).append(point)
    return {key: version_plot(key, found) for key, found in list(by_key.items())[:MAX_METRICS]}
