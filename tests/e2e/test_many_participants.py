"""Two hundred participants cost what their bytes cost: the number of SQL statements of a request stays the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from django.db import connection
from django.test.utils import CaptureQueriesContext
from fl_server_client import Notification, ParticipantClient

from fl_server_ai.trainer.tasks import close_round
from fl_server_core.models import User
from fl_server_core.services.trainings import start_training
from tests.builders.clients import client_of
from tests.builders.files import scripted_linear, uploaded
from tests.builders.rounds import submissions
from tests.builders.rows import make_training, make_user
from tests.e2e.people import People, Worker
from tests.e2e.sites import Site

FEW, MANY = 3, 200
Commit = Callable[..., AbstractContextManager[Any]]


def upload(participant: User, model_id: object, commit: Commit) -> int:
    """Send an update, what follows its commit included; the number of SQL statements."""
    client = client_of(participant)
    form = {"round": "0", "sample_size": "1", "model_file": uploaded(scripted_linear(2.0))}
    with CaptureQueriesContext(connection) as queries, commit(execute=True):
        assert client.post(f"/api/models/{model_id}/", form).status_code == 201
    return len(queries)


def statements(number: int, commit: Commit) -> dict[str, int]:
    """How many statements the first upload, one in the middle and the last one take in a training of `number`."""
    actor, people = make_user(), [make_user() for _ in range(number)]
    training = make_training(actor, people)
    start_training(training_id=training.id, user=actor)
    counts = [upload(participant, training.model_id, commit) for participant in people]
    assert len(submissions(training)) == number
    return {"first": counts[0], "middle": counts[number // 2], "last": counts[-1]}


@pytest.mark.django_db
def test_an_upload_takes_as_many_statements_among_200_as_among_3(
    django_capture_on_commit_callbacks: Commit, monkeypatch: pytest.MonkeyPatch, say: Callable[[str], None]
) -> None:
    nudged: list[str] = []
    monkeypatch.setattr(close_round, "delay", nudged.append)
    statements(1, django_capture_on_commit_callbacks)  # Django looks content types up once in a process
    few = statements(FEW, django_capture_on_commit_callbacks)
    many = statements(MANY, django_capture_on_commit_callbacks)
    say(f"SQL statements per upload ({connection.vendor}): {few} with {FEW} participants, {many} with {MANY}.")
    assert few == many
    assert len(nudged) == 3


def light_participant(client: ParticipantClient, number: int) -> Worker:
    """Sends the same small update in every round, without computing anything."""
    update = scripted_linear(float(number))

    def work(notification: Notification) -> None:
        if notification.type == "UPDATE_ROUND_START":
            assert client.download(notification.model)
            client.send_update(notification.model, notification.round, 1, update)
        elif notification.type == "MODEL_TEST_ROUND":
            client.send_metrics(notification.model, {"accuracy": number / MANY})

    return work


@pytest.mark.timeout(300)
def test_a_training_of_200_participants_completes(embedded_pass: None, site: Site) -> None:
    with People(site, MANY, light_participant, threads=4) as people:
        model = people.actor.upload_model(torch.nn.Sequential(torch.nn.Linear(3, 2)), "linear")
        training = people.actor.create_training(model, rounds=1, participants=people.ids)
        people.actor.start(training)
        assert people.wait_for_end(training, 240)["state"] == "C"
        [closed] = [event["figures"] for event in people.history(training) if event["kind"] == "aggregated"]
        assert closed["updates"] == closed["samples"] == MANY
        assert len(people.actor.metrics(model, "accuracy")[1]) == MANY
        assert people.heard_of(training, "TRAINING_FINISHED") == sorted(people.receivers)
        assert people.heard_of(training, "UPDATE_ROUND_START") == sorted(people.receivers[1:])
