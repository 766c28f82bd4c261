"""What a participant couldn't finish because the server was away, which is kept until it can. The server is played."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import numpy as np
import pytest
from fl_server_client import Agenda, Notification, NumpyFormat, Participant, ParticipantClient, Round, Session

pytestmark = pytest.mark.once
PATIENCE = 30.0
AWAY = httpx.Response(503)
OVER = httpx.Response(400, json=["Training with ID t is not currently in round 3"])
CALLS = {
    "UPDATE_ROUND_START": "POST /models/m/",
    "SWAG_ROUND_START": "POST /models/m/swag/",
    "MODEL_TEST_ROUND": "POST /models/m/metrics/",
}


class Learner(Participant):
    """Counts how often it works."""

    models = NumpyFormat()

    def __init__(self) -> None:
        self.worked = 0

    def train(self, model: dict[str, np.ndarray], round: Round, options: Mapping[str, Any]) -> int:
        self.worked += 1
        model["w"] += np.float32(self.worked)
        return 4

    def moments(self, model: Any, round: Round, options: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, int]:
        self.worked += 1
        return np.zeros(2), np.ones(2), 4

    def evaluate(self, model: dict[str, np.ndarray]) -> dict[str, float]:
        self.worked += 1
        return {"mean": 1.0}


class PlayedServer:
    """One training. `on` may answer a request, by its call; it gets how often that was asked for, from 1."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.on: Callable[[str, int], httpx.Response | None] = lambda _call, _time: None
        self.agenda, self.learner = Agenda(), Learner()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        call = f"{request.method} {request.url.path.removeprefix('/api')}"
        self.asked.append((call, request.read()))
        if (answer := self.on(call, self.times(call))) is not None:
            return answer
        if call.startswith("POST"):
            self.agenda.close()
        if call.startswith("GET /models/"):
            return httpx.Response(200, content=NumpyFormat().save({"w": np.zeros(2, dtype=np.float32)}))
        return httpx.Response(200, json={"options": {}, "aggregation_method": "FedAvg"})

    def times(self, call: str) -> int:
        return len(self.sent(call))

    def sent(self, call: str) -> list[bytes]:
        """What came with such requests, without the boundaries between the parts, which are drawn anew."""
        found = [content for asked, content in self.asked if asked == call]
        return [content.replace(content.split(b"\r\n")[0].strip(b"-"), b"") if content else b"" for content in found]

    def session(self, pause: float = 0.0) -> tuple[Session, ParticipantClient]:
        """Its client gives up after two tries."""
        transport = httpx.MockTransport(self)
        client = ParticipantClient("http://server", token="key", pauses=(0.0,), transport=transport)
        return Session(client, self.learner, pause=pause), client


@pytest.fixture
def server() -> PlayedServer:
    return PlayedServer()


def told(kind: str = "UPDATE_ROUND_START", number: int = 3) -> Notification:
    return Notification(kind, "t", {"round": number, "global_model_uuid": "m"}, f"{kind}{number}")


def away_until(time: int, wanted: str) -> Callable[[str, int], httpx.Response | None]:
    return lambda call, times: AWAY if call == wanted and times < time else None


@pytest.mark.parametrize(("kind", "call"), CALLS.items())
def test_what_was_worked_out_is_sent_as_it_is_until_it_is_taken(server: PlayedServer, kind: str, call: str) -> None:
    server.on = away_until(6, call)
    server.agenda.put(told(kind))
    server.session()[0].work(server.agenda)
    assert server.times(call) == 6
    assert len(set(server.sent(call))) == 1
    assert server.learner.worked == 1


@pytest.mark.parametrize("call", ["GET /trainings/t/", "GET /models/m/"])
def test_a_round_whose_model_could_not_be_fetched_is_done_later(server: PlayedServer, call: str) -> None:
    server.on = away_until(6, call)
    server.agenda.put(told())
    server.session()[0].work(server.agenda)
    assert server.times("POST /models/m/") == 1
    assert server.learner.worked == 1


def test_an_update_whose_round_is_over_meanwhile_is_not_sent_again(
    server: PlayedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="fl_server_client")

    def answer(call: str, times: int) -> httpx.Response | None:
        if call == "POST /models/m/":
            if times == 3:
                server.agenda.put(told("MODEL_TEST_ROUND", 4))  # which ends the test
            return AWAY if times < 3 else OVER
        return None

    server.on = answer
    server.agenda.put(told())
    server.session()[0].work(server.agenda)
    assert server.times("POST /models/m/") == 3
    assert "Round 3 of training t, update: the round is over" in caplog.text
    assert "Round 4 of training t, metrics: sent" in caplog.text


@pytest.mark.parametrize(
    "later", [told(number=4), Notification("CLIENT_REMOVED", "t", {}, "d9")], ids=["a later round", "a removal"]
)
def test_an_update_that_nobody_waits_for_any_more_is_dropped(server: PlayedServer, later: Notification) -> None:
    def answer(call: str, times: int) -> httpx.Response | None:
        if call == "POST /models/other/" and times == 2:
            server.agenda.put(later)
        if call == "POST /models/m/" and times > 2:
            return httpx.Response(201, json={})  # which doesn't end the test, as the other one does
        return AWAY if call.startswith("POST") and times <= 2 else None

    server.on = answer
    server.agenda.put(told())
    server.agenda.put(Notification("UPDATE_ROUND_START", "other", {"round": 0, "global_model_uuid": "other"}, "d8"))
    server.session()[0].work(server.agenda)
    assert server.times("POST /models/other/") == 3
    of_round_3 = [content for content in server.sent("POST /models/m/") if b'name="round"\r\n\r\n3\r\n' in content]
    assert len(of_round_3) == 2


def test_an_update_of_another_training_is_not_dropped(server: PlayedServer) -> None:
    def answer(call: str, times: int) -> httpx.Response | None:
        if call == "POST /models/m/" and times == 2:
            server.agenda.put(Notification("CLIENT_REMOVED", "other", {}, "d9"))
        return away_until(3, "POST /models/m/")(call, times)

    server.on = answer
    server.agenda.put(told())
    server.session()[0].work(server.agenda)
    assert server.times("POST /models/m/") == 3


def test_open_rounds_and_invitations_that_could_not_be_asked_for_are_asked_for_later(server: PlayedServer) -> None:
    announcement = {"notification_type": "UPDATE_ROUND_START", "id": "d1", "body": told().body}
    answers: dict[str, Any] = {
        "GET /users/invitations/": [],
        "GET /users/trainings/": [{"id": "t", "state": "O"}],
        "GET /trainings/t/status/": {"participants": [{"id": "u", "awaited": True, "notification": announcement}]},
    }

    def answer(call: str, times: int) -> httpx.Response | None:
        if call not in answers:
            return None
        return AWAY if times < 4 else httpx.Response(200, json=answers[call])

    server.on = answer
    session = server.session()[0]
    session.answer_waiting()
    session.catch_up("u", server.agenda)
    session.work(server.agenda)
    assert server.times("GET /users/invitations/") == 4
    assert server.times("POST /models/m/") == 1


def test_a_stop_ends_the_wait_at_once(server: PlayedServer, caplog: pytest.LogCaptureFixture) -> None:
    given_up = threading.Event()

    def answer(call: str, times: int) -> httpx.Response | None:
        if call == "POST /models/m/" and times == 2:
            given_up.set()
        return AWAY if call == "POST /models/m/" else None

    server.on = answer
    session, client = server.session(pause=3600.0)
    server.agenda.put(told())
    worker = threading.Thread(target=session.work, args=(server.agenda,))
    worker.start()
    assert given_up.wait(PATIENCE)
    server.agenda.close()
    client.give_up()
    worker.join(PATIENCE)
    assert not worker.is_alive()
    assert server.times("POST /models/m/") == 2
