"""One account that asks for all that it can get, at a real server: the requests of others are answered."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.ai.sandbox import hostile
from tests.builders.files import scripted, scripted_linear
from tests.builders.waiting import wait_until
from tests.server_process import ServerProcess

pytestmark = pytest.mark.once

PATIENCE_SECONDS = 60
POLLS, INFERENCES = 8, 10


class Account:
    """Somebody who has registered."""

    def __init__(self, base_url: str, name: str) -> None:
        self._url = f"{base_url}/api"
        answer = requests.post(f"{self._url}/users/", json={"username": name, "password": "pw-of-them"}, timeout=30)
        self._headers = {"Authorization": f"Token {answer.json()['token']}"}

    def call(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        return requests.request(
            method, f"{self._url}{path}", headers=self._headers, **{"timeout": PATIENCE_SECONDS, **kwargs}
        )

    def upload(self, content: bytes) -> str:
        about = {"name": "a model", "description": ""}
        answer = self.call("POST", "/models/", data=about, files={"model_file": ("model.pt", content)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["model_id"])

    def ask(self, model: str) -> requests.Response:
        return self.call("POST", "/inference/", json={"model_id": model, "model_input": [[1.0, 1.0, 1.0]]})

    def poll(self) -> requests.Response:
        return self.call("GET", "/notifications/", params={"wait": 20})


@pytest.mark.timeout(240)
def test_polls_and_endless_models_of_one_account_leave_threads_to_another(tmp_path: Path) -> None:
    environment = {"DJANGO_SETTINGS_MODULE": "tests.e2e.cheap_passwords", "FL_SANDBOX_TIMEOUT_SECONDS": "10"}
    with ServerProcess(tmp_path / "var", "--threads", "16", environment=environment) as server:
        greedy, other = Account(server.base_url, "greedy"), Account(server.base_url, "other")
        loops, honest = greedy.upload(scripted(hostile.LoopsForEver())), other.upload(scripted_linear())
        with ThreadPoolExecutor(POLLS + INFERENCES) as threads:
            polls = [threads.submit(greedy.poll) for _ in range(POLLS)]
            asked = [threads.submit(greedy.ask, loops) for _ in range(INFERENCES)]
            # Four of each are under way; the others have been refused.
            wait_until("refusals", lambda: sum(one.done() for one in (*polls, *asked)) >= POLLS + INFERENCES - 8)
            under_way = sum(not one.done() for one in (*polls, *asked))
            for _ in range(20):  # with a deadline: without threads of their own they would wait for the models
                assert other.call("GET", "/models/", timeout=5).status_code == 200
            assert other.ask(honest).status_code == 200
            answers = [one.result() for one in polls], [one.result() for one in asked]
        assert under_way > 0
        assert Counter(answer.status_code for answer in answers[0]) == {200: 4, 429: 4}
        statuses = Counter(answer.status_code for answer in answers[1])
        assert statuses[429] == INFERENCES - 4
        refused = [answer for group in answers for answer in group if answer.status_code == 429]
        assert {answer.headers["Retry-After"] for answer in refused} == {"5"}
        assert all("as an account may have at once" in json.loads(answer.text)["detail"] for answer in refused)
