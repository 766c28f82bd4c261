"""A whole training on a server that asks for consent, by real participants over HTTP."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from fl_server_client import Notification, ParticipantClient, Refused, Session

from examples.training import Classifier
from tests.builders.waiting import wait_until
from tests.e2e.people import People, Worker
from tests.e2e.sites import embedded

ROUNDS = 3
ACCEPTS, TRUSTS, DECLINES, LATE, LEAVES = range(5)
OPTIONS = {"epochs": 1, "lr": 0.1}


def student(client: ParticipantClient, number: int) -> Session:
    """A participant of the examples who tells on which side of a line its own points are."""
    generator = torch.Generator().manual_seed(number)
    inputs = torch.randn(24, 2, generator=generator)
    targets = (inputs.sum(dim=1) > 0).long()
    learner = Classifier(inputs[:16], targets[:16], inputs[16:], targets[16:], seed=number)
    learner.accepts_all = number in (ACCEPTS, LEAVES)
    return Session(client, learner)


@pytest.mark.timeout(300)
def test_those_who_accept_or_trust_train_and_nobody_else(embedded_pass: None, tmp_path: Path) -> None:
    clients: dict[int, ParticipantClient] = {}
    entered, complete = threading.Event(), threading.Event()

    def worker(client: ParticipantClient, number: int) -> Worker:
        clients[number] = client
        one = student(client, number)

        def work(notification: Notification) -> None:
            if number == ACCEPTS and notification.type == "UPDATE_ROUND_START" and notification.round == 1:
                entered.set()  # the first round is closed: hold the second one until the late one is in
                complete.wait(60)
            one.handle(notification)
            if number == DECLINES and notification.type == "TRAINING_INVITATION":
                client.call("POST", f"/trainings/{notification.training}/decline/", json={})

        return work

    environment = {"FL_ENROLMENT": "consent", "FL_ACTORS": "everyone"}
    with (
        embedded(tmp_path, environment=environment) as (site, _server),
        People(site, 5, worker, threads=5) as people,
    ):
        try:
            actor = people.actor.call("GET", "/users/myself/").json()["id"]
            clients[TRUSTS].trust([actor])
            model = people.actor.upload_model(torch.nn.Sequential(torch.nn.Linear(2, 2)), "line")
            training = people.actor.create_training(model, rounds=ROUNDS, participants=people.ids, options=OPTIONS)
            _wait_for_participants(people, training, {ACCEPTS, TRUSTS, LEAVES})
            with pytest.raises(Refused, match="403"):
                clients[LATE].download(model)
            clients[LEAVES].leave(training)
            people.actor.start(training)
            assert entered.wait(60)
            assert [row["training"] for row in clients[LATE].invitations()] == [training]
            clients[LATE].accept(training)
            clients[LATE].download(model)
        finally:
            complete.set()
        assert people.wait_for_end(training)["state"] == "C"
        joined = {people.ids[number] for number in (ACCEPTS, TRUSTS, LATE)}
        assert set(people.actor.training(training)["participants"]) == joined
        averaged = [event for event in people.history(training) if event["kind"] == "aggregated"]
        updates = {event["round"]: event["figures"]["updates"] for event in averaged}
        assert updates == {0: 2, 1: 3, 2: 3}
        told = {kind: people.heard_of(training, kind) for kind in ("TRAINING_INVITATION", "TRAINING_START")}
        assert told == {
            "TRAINING_INVITATION": [str(number) for number in (ACCEPTS, DECLINES, LATE, LEAVES)],
            "TRAINING_START": [str(number) for number in (ACCEPTS, TRUSTS, LATE)],
        }
        assert {note.type for note in people.heard if note.receiver == str(DECLINES)} == {"TRAINING_INVITATION"}
        with pytest.raises(Refused, match="You are not invited"):
            clients[DECLINES].accept(training)


def _wait_for_participants(people: People, training: str, numbers: set[int]) -> None:
    wanted = {people.ids[number] for number in numbers}
    wait_until("the answers", lambda: set(people.actor.training(training)["participants"]) == wanted, 60)
