"""Every aggregation method with every uncertainty method, by real participants over HTTP."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from fl_server_client import ParticipantClient, Session
from fl_server_client.model_files import script

from examples.training import Classifier
from tests.e2e.people import People, Worker
from tests.e2e.sites import Site

PARTICIPANTS = 3
ROUNDS = 2
PERIOD = 2
COMBINATIONS = [
    *itertools.product(("FedAvg", "FedProx", "FedDC"), ("NONE", "MC_DROPOUT", "SWAG")),
    *((method, "NONE") for method in ("Median", "TrimmedMean", "MultiKrum", "FedAdam")),
]
OPTIONS: dict[str, Any] = {"epochs": 1, "swag_epochs": 2, "lr": 0.1, "mu": 0.1, "uncertainty": {"N": 5}}


@dataclass(frozen=True)
class Trained:
    """A training of one combination: its id, its model's, and the weights that it started from."""

    aggregation: str
    uncertainty: str
    training: str
    model: str

    @property
    def local_rounds(self) -> int:
        return ROUNDS * PERIOD if self.aggregation == "FedDC" else ROUNDS


def student(client: ParticipantClient, number: int) -> Worker:
    """A participant of the examples who tells on which side of a line its own points are."""
    generator = torch.Generator().manual_seed(number)
    inputs = torch.randn(24, 2, generator=generator)
    targets = (inputs.sum(dim=1) > 0).long()
    return Session(client, Classifier(inputs[:16], targets[:16], inputs[16:], targets[16:], seed=number)).handle


def network(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    layers = torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2)
    return torch.nn.Sequential(*layers)


def start(people: People, number: int, aggregation: str, uncertainty: str) -> Trained:
    module = network(number)
    model = people.actor.upload_model(
        script(module) if number % 2 else module,
        f"{aggregation}, {uncertainty}",
        kind="SWAG" if uncertainty == "SWAG" else "GLOBAL",
        input_shape=(None, 2),
    )
    training = people.actor.create_training(
        model,
        rounds=ROUNDS,
        participants=people.ids,
        aggregation=aggregation,
        uncertainty=uncertainty,
        options=OPTIONS | ({"daisy_chain_period": PERIOD} if aggregation == "FedDC" else {}),
    )
    people.actor.start(training)
    return Trained(aggregation, uncertainty, training, model)


def check(people: People, one: Trained) -> None:
    """It is completed, round by round, and everyone has been told of the end exactly once."""
    state = people.wait_for_end(one.training)["state"]
    assert state == "C", people.history(one.training)
    rounds = list(range(one.local_rounds))
    averaged = rounds[PERIOD - 1 :: PERIOD] if one.aggregation == "FedDC" else rounds
    assert people.count(one.training, "aggregated") == averaged
    assert people.count(one.training, "passed_on") == [number for number in rounds if number not in averaged]
    after = [number + 1 for number in averaged]
    assert people.count(one.training, "moments_averaged") == (after if one.uncertainty == "SWAG" else [])
    # Of FedDC, only the final model is tested.
    assert people.count(one.training, "tested") == (after[-1:] if one.aggregation == "FedDC" else after)
    assert len(people.actor.metrics(one.model, "accuracy")[one.local_rounds]) == PARTICIPANTS
    assert people.heard_of(one.training, "TRAINING_FINISHED") == sorted(people.receivers)
    found = people.actor.predict(one.model, np.array([[1.0, 1.0], [-1.0, -1.0]], dtype=np.float32))
    answer, uncertainty = found.output, found.uncertainty
    assert len(answer) == 2
    if one.uncertainty == "NONE":
        assert uncertainty == {}
    else:
        assert np.shape(uncertainty["variance"]) == (2, 2)
        assert np.max(uncertainty["variance"]) > 0


@pytest.mark.timeout(300)
def test_every_combination_of_methods_completes(site: Site) -> None:
    with People(site, PARTICIPANTS, student) as people:
        # All at once: they must not get into each other's way either.
        trained = [start(people, number, *methods) for number, methods in enumerate(COMBINATIONS)]
        for one in trained:
            check(people, one)
