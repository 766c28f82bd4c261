"""Forty receivers that say nothing, at a real server: a round of others is announced and closed meanwhile."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.ai.notification.listener import listening
from tests.builders.files import scripted_linear
from tests.builders.waiting import wait_until
from tests.server_process import ServerProcess

pytestmark = pytest.mark.once

SILENT = 40
SILENCE_SECONDS = 90
PATIENCE_SECONDS = 40
"""Less than one silence: a notification that waits for a silent receiver's timeout comes too late."""


class Account:
    def __init__(self, base_url: str, name: str, endpoint: str = "") -> None:
        self._url = f"{base_url}/api"
        body = {"username": name, "password": "pw-of-them", "message_endpoint": endpoint}
        user = requests.post(f"{self._url}/users/", json=body, timeout=30).json()
        self.id: str = user["id"]
        self._headers = {"Authorization": f"Token {user['token']}"}

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        answer = requests.request(method, f"{self._url}{path}", headers=self._headers, timeout=60, **kwargs)
        assert answer.ok, answer.text
        return answer.json()

    def start_training(self, *participants: Account) -> str:
        """Returns the model's id."""
        about, file = {"name": "a model", "description": ""}, {"model_file": ("model.pt", scripted_linear())}
        model = str(self.call("POST", "/models/", data=about, files=file)["model_id"])
        wish = {
            "model_id": model,
            "target_num_updates": 1,
            "metric_names": [],
            "aggregation_method": "FedAvg",
            "options": {"skip_model_tests": True},
            "clients": [one.id for one in participants],
        }
        training = self.call("POST", "/trainings/", json=wish)["training_id"]
        self.call("POST", f"/trainings/{training}/start/")
        return model


@pytest.mark.timeout(240)
def test_forty_silent_receivers_do_not_delay_a_round_of_others(tmp_path: Path) -> None:
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.e2e.cheap_passwords",
        "FL_NOTIFICATION_THREADS": "8",
        "FL_NOTIFICATION_TIMEOUT_SECONDS": str(SILENCE_SECONDS),
    }
    with (
        ExitStack() as stack,
        listening() as listener,
        ServerProcess(tmp_path / "var", environment=environment) as server,
    ):
        ports = [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(SILENT)]
        crowd = [Account(server.base_url, f"silent-{port}", f"http://127.0.0.1:{port}/") for port in ports]
        Account(server.base_url, "greedy").start_training(*crowd)
        participant = Account(server.base_url, "participant", listener.url)
        model = Account(server.base_url, "other").start_training(participant)
        wait_until("the start of the round", lambda: "UPDATE_ROUND_START" in listener.types, PATIENCE_SECONDS)
        update = {"round": 0, "sample_size": 1}
        participant.call("POST", f"/models/{model}/", data=update, files={"model_file": ("u.pt", scripted_linear(2.0))})
        wait_until("the end of the training", lambda: "TRAINING_FINISHED" in listener.types, PATIENCE_SECONDS)
