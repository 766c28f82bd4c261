"""A server that is killed in the middle of a training, and started again."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from fl_server_client import Notification, ParticipantClient

from tests.builders.files import scripted_linear
from tests.e2e.people import People, Worker
from tests.e2e.sites import embedded

PARTICIPANTS = 3
ROUNDS = 4
KILLED_IN = 2


@pytest.mark.timeout(300)
def test_a_training_goes_on_after_the_server_was_killed_and_started_again(embedded_pass: None, tmp_path: Path) -> None:
    reached, restarted = threading.Event(), threading.Event()

    def participant(client: ParticipantClient, number: int) -> Worker:
        """One of them has sent its update when the server is killed, the others send theirs afterwards."""
        update = scripted_linear(float(number))

        def work(notification: Notification) -> None:
            if notification.type == "MODEL_TEST_ROUND":
                client.send_metrics(notification.model, {"accuracy": 1.0})
            if notification.type != "UPDATE_ROUND_START":
                return
            if notification.round == KILLED_IN and number > 0:
                restarted.wait()
            client.send_update(notification.model, notification.round, 1, update)
            if notification.round == KILLED_IN and number == 0:
                reached.set()

        return work

    with ExitStack() as stack:
        site, server = stack.enter_context(embedded(tmp_path))
        people = stack.enter_context(People(site, PARTICIPANTS, participant))
        stack.callback(restarted.set)  # nobody waits for ever if this test fails
        model = people.actor.upload_model(torch.nn.Sequential(torch.nn.Linear(3, 2)), "linear")
        training = people.actor.create_training(model, rounds=ROUNDS, participants=people.ids)
        people.actor.start(training)
        assert reached.wait(60)
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        stack.enter_context(embedded(tmp_path, int(urlsplit(site.url).port or 0)))
        restarted.set()
        assert people.wait_for_end(training)["state"] == "C"
        assert people.count(training, "aggregated") == list(range(ROUNDS))
        assert people.heard_of(training, "TRAINING_FINISHED") == sorted(people.receivers)
