"""Which methods a training may be made with, and which options they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.test import Client

from fl_server_ai.aggregation import Aggregation
from fl_server_ai.aggregation.base import Array
from fl_server_core.models import GlobalModel, Training
from fl_server_core.registry import aggregation_methods
from tests.api.conftest import People
from tests.api.test_trainings import create

METHODS = ["FedAvg", "FedDC", "FedProx", "Median", "TrimmedMean", "MultiKrum", "FedAdam"]


class Largest(Aggregation):
    name = "Largest"
    title = "The largest value"
    paper = "none"

    def reduce(self, block: Array, weights: Array) -> Array:
        largest: Array = np.max(block, axis=0)
        return largest


@pytest.fixture
def own() -> Iterator[None]:
    aggregation_methods.register(Largest)
    yield
    aggregation_methods.pop("Largest", None)


@pytest.mark.parametrize("method", METHODS)
def test_an_actor_chooses_one_of_the_methods_that_the_server_has(
    people: People, model: GlobalModel, method: str
) -> None:
    clients = [people.participant.id]
    assert create(people.actor.client, model, aggregation_method=method, clients=clients).status_code == 201
    training = Training.objects.get()
    training.full_clean()
    for person, status in ((people.actor, 200), (people.participant, 200), (people.outsider, 403)):
        answer = person.client.get(f"/api/trainings/{training.pk}/")
        assert answer.status_code == status
        assert answer.json().get("aggregation_method", method) == method


def test_a_method_that_was_just_registered_is_there_and_one_that_is_gone_is_not(
    people: People, model: GlobalModel, own: None
) -> None:
    assert create(people.actor.client, model, aggregation_method="Largest").status_code == 201
    aggregation_methods.pop("Largest", None)
    answer = create(people.actor.client, model, aggregation_method="Largest")
    assert (answer.status_code, answer.json()) == (400, {"aggregation_method": ['"Largest" is not a valid choice.']})


@pytest.mark.parametrize(
    ("method", "options", "sentences"),
    [
        (
            "TrimmedMean",
            {"aggregation": {"trim": 0.5}},
            ["aggregation.trim must be a number of at least 0 and below 0.5."],
        ),
        ("MultiKrum", {"aggregation": {"keep": "3"}}, ["aggregation.keep must be a whole number from 1 to 1000000."]),
        ("FedAdam", {"aggregation": {"lr": True}}, ["aggregation.lr must be a number above 0 and at most 1000000."]),
        ("FedAvg", {"aggregation": [1]}, ["aggregation must be an object."]),
        ("FedAvg", {"keep_versions": 0}, ["keep_versions must be a whole number from 2 to 1000000."]),
        ("FedAvg", {"uncertainty": {"N": 0}}, ["uncertainty.N must be a whole number from 1 to 1000."]),
    ],
)
def test_the_methods_own_options_are_validated(
    people: People, model: GlobalModel, method: str, options: dict[str, Any], sentences: list[str]
) -> None:
    answer = create(people.actor.client, model, aggregation_method=method, options=options)
    assert (answer.status_code, answer.json()) == (400, {"options": sentences})
    assert not Training.objects.exists()


def test_options_that_the_method_does_not_know_are_kept(people: People, model: GlobalModel) -> None:
    options = {"aggregation": {"trim": 7, "note": "for the participants"}}
    assert create(people.actor.client, model, aggregation_method="Median", options=options).status_code == 201
    assert Training.objects.get().options == options


def test_the_schema_names_the_methods_and_their_options() -> None:
    schema = Client().get("/api/schema/?format=json").json()
    text = schema["paths"]["/api/trainings/"]["post"]["description"]
    for line in (
        "- `min_updates`: a number above 0 and at most 1000000000",
        "- `uncertainty.N`: a whole number from 1 to 1000, by default 10",
        "- `aggregation.trim` (Coordinate-wise trimmed mean): a number of at least 0 and below 0.5, by default 0.1",
        "- `aggregation.lr` (FedAdam): a number above 0 and at most 1000000, by default 0.01",
    ):
        assert line in text.splitlines()
    request = schema["components"]["schemas"]["CreateTrainingRequest"]["properties"]["aggregation_method"]
    assert all(f"`{method}`" in str(request) or method in str(schema["components"]) for method in METHODS)
