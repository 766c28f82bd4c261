"""The plots of a training: their numbers, smoothed, of all participants and of each."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from fl_server_core.models import Training, User
from tests.api.pages.addresses import training_at
from tests.builders.rows import (
    make_metric,
)

pytestmark = pytest.mark.django_db


def test_curves_are_smoothed_on_demand(operator: Client, training: Training, clinics: list[User]) -> None:
    for step, value in enumerate((8.0, 4.0, 0.0)):
        make_metric(training.model, value=value, reporter=clinics[0], step=step)

    def series(query: str) -> list[dict[str, Any]]:
        plots = operator.get(training_at(training, f"curves/{query}")).json()["plots"]
        return list(plots["tests:loss"]["series"])

    assert [(one["name"], one["y"]) for one in series("")] == [("mean", [8.0, 4.0, 0.0])]
    # 8; 3/4 of 8 + 1/4 of 4; 3/4 of 7 + 1/4 of 0
    assert [(one["name"], one["y"]) for one in series("?smoothing=0.75")] == [
        ("smoothed", [8.0, 7.0, 5.25]),
        ("mean", [8.0, 4.0, 0.0]),
    ]
    each = operator.get(training_at(training, "curves/each/?plot=tests:loss&smoothing=0.75")).json()
    assert each == {"series": [{"name": "clinic-1", "y": [8.0, 7.0, 5.25]}]}
    for wrong in ("1", "-0.1", "nan", "much", "1e400"):
        for end in (f"curves/?smoothing={wrong}", f"curves/each/?plot=tests:loss&smoothing={wrong}"):
            answer = operator.get(training_at(training, end))
            assert (answer.status_code, answer.json()["detail"]) == (400, "smoothing must be a number from 0 to 0.99.")


def test_the_plots_have_mean_spread_and_what_the_table_shows(
    operator: Client, training: Training, clinics: list[User]
) -> None:
    for clinic, value in zip(clinics, (1.0, 2.0, 3.0), strict=False):
        make_metric(training.model, "loss", value, reporter=clinic, step=0)
    plot = operator.get(training_at(training, "curves/")).json()["plots"]["tests:loss"]
    (mean,) = plot["series"]
    assert (plot["title"], plot["x"]) == ("loss, of the global model", {"label": "round", "values": [0]})
    assert mean == {"name": "mean", "y": [2.0], "low": [pytest.approx(1.1835, abs=1e-4)], "high": [2.8165]}
    assert [column["name"] for column in plot["columns"]] == ["deviation", "least", "most", "participants"]


def test_the_plots_are_asked_of_the_database_again_once_there_are_new_metrics(
    operator: Client, training: Training, clinics: list[User]
) -> None:
    make_metric(training.model, "loss", 1.0, reporter=clinics[0], step=0)
    first = operator.get(training_at(training, "curves/"))
    again = operator.get(training_at(training, "curves/"), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    make_metric(training.model, "loss", 3.0, reporter=clinics[1], step=0)
    after = operator.get(training_at(training, "curves/"), headers={"If-None-Match": first["ETag"]}).json()
    assert after["plots"]["tests:loss"]["series"][0]["y"] == [2.0]


def test_each_participants_series_have_gaps_where_it_reported_nothing(
    operator: Client, training: Training, clinics: list[User]
) -> None:
    make_metric(training.model, "loss", 1.0, reporter=clinics[0], step=0)
    make_metric(training.model, "loss", 2.0, reporter=clinics[1], step=1)
    series = operator.get(training_at(training, "curves/each/?plot=tests:loss")).json()["series"]
    assert series == [{"name": "clinic-1", "y": [1.0, None]}, {"name": "clinic-2", "y": [None, 2.0]}]
