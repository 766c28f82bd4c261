"""`fl participant run`, against a server that is played by the test."""

import os
import signal
from pathlib import Path

import httpx
import pytest
from fl_server_client import NumpyFormat

from tests.client.played_server import PlayedServer, Run

pytestmark = pytest.mark.once

CLINIC = """
from fl_server_client import NumpyFormat, Participant

class Clinic(Participant):
    models = NumpyFormat()

    def evaluate(self, model):
        return {}
"""


@pytest.mark.parametrize(("words", "query"), [(["--direct"], {"direct": "1"}), ([], {})])
def test_a_participant_fetches_models_from_the_bucket_if_it_is_told_to(
    fl: Run, server: PlayedServer, tmp_path: Path, words: list[str], query: dict[str, str]
) -> None:
    def model(request: httpx.Request) -> httpx.Response:
        os.kill(os.getpid(), signal.SIGTERM)
        return httpx.Response(200, content=NumpyFormat().save({}))

    (tmp_path / "direct_clinic.py").write_text(CLINIC)
    announcement = {
        "notification_type": "MODEL_TEST_ROUND",
        "id": "d",
        "body": {"round": 1, "global_model_uuid": "m"},
    }
    server.answers |= {
        "GET /api/users/myself/": {"id": "u1", "username": "anna", "message_endpoint": ""},
        "GET /api/users/trainings/": [{"id": "t", "state": "O"}],
        "GET /api/trainings/t/status/": {"participants": [{"id": "u1", "awaited": True, "notification": announcement}]},
        "GET /api/models/m/": model,
    }
    assert fl("participant", "run", "direct_clinic:Clinic", *words)[0] == 0
    [asked] = [request for request in server.asked if request.url.path == "/api/models/m/"]
    assert dict(asked.url.params) == {"format": "safetensors"} | query
