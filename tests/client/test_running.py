"""A participant that runs: signs in, tells where it listens, catches up, works and stops. The server is played."""

import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import numpy as np
import pytest
from fl_server_client import Account, Listening, NumpyFormat, Participant, Refused, Round, Running, run

pytestmark = pytest.mark.once
SERVER = "http://fl.example.org"
PATIENCE = 30.0


class Learner(Participant):
    """Adds 1 to every number."""

    models = NumpyFormat()

    def train(self, model: dict[str, np.ndarray], round: Round, options: Mapping[str, Any]) -> int:
        for name in model:
            model[name] += np.float32(1)
        return 4

    def evaluate(self, model: dict[str, np.ndarray]) -> dict[str, float]:
        return {"mean": float(model["w"].mean())}


class PlayedServer:
    """One account and one training. `on` is called with each request, and may answer it."""

    def __init__(self) -> None:
        self.user = {"id": "u1", "username": "anna", "token": "key", "message_endpoint": ""}
        self.is_new = True
        self.invitations: list[dict[str, Any]] = []
        self.status: dict[str, Any] = {"participants": []}
        self.asked: list[tuple[str, Any]] = []
        self.on: Callable[[str], None] = lambda _call: None
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        call = f"{request.method} {request.url.path.removeprefix('/api')}"
        content = request.read()
        is_json = request.headers.get("Content-Type") == "application/json"
        with self._lock:
            self.asked.append((call, json.loads(content) if is_json else content))
        self.on(call)
        if call == "GET /models/m/":
            return httpx.Response(200, content=NumpyFormat().save({"w": np.zeros(2, dtype=np.float32)}))
        if call == "POST /users/" and not self.is_new:
            return httpx.Response(400, json={"username": ["taken"]})
        return httpx.Response(200, json=self._answer(call))

    def _answer(self, call: str) -> Any:
        answers = {
            "GET /users/invitations/": self.invitations,
            "GET /users/trainings/": [{"id": "t", "state": "O"}, {"id": "old", "state": "C"}],
            "GET /trainings/t/status/": self.status,
            "GET /trainings/t/": {"options": {}, "aggregation_method": "FedAvg"},
            "GET /users/myself/notification-secrets/": {"secrets": []},
            "GET /notifications/": [],
        }
        return answers.get(call, self.user)

    def calls(self) -> list[str]:
        return [call for call, _ in self.asked if call != "GET /notifications/"]

    def told(self, call: str) -> Any:
        """What came with the last such request."""
        return [content for asked, content in self.asked if asked == call][-1]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> PlayedServer:
    played = PlayedServer()
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _self, request: played(request))
    return played


def work(participant: Participant, account: Account, listen: Listening | None = None, *, until: str = "") -> Running:
    """Take part until the server is asked for `until`, or has signed the participant in."""
    running = Running(participant, SERVER, account, listen)
    running.work(lambda _user: None if until else running.stop())
    return running


ANNA = Account("anna", "password")


def test_a_new_account_is_registered_with_the_address_at_which_it_listens(server: PlayedServer) -> None:
    account = Account("anna", "password", invitation="code", trust=["a1"])
    work(Learner(), account, Listening(endpoint="https://clinic.example.org/"))
    wanted = {"username": "anna", "message_endpoint": "https://clinic.example.org/", "client": True}
    assert server.told("POST /users/").items() >= {**wanted, "invitation": "code"}.items()
    assert server.told("PATCH /users/myself/") == {"trusted_actors": ["a1"]}


def test_an_account_of_an_earlier_start_moves_its_endpoint(server: PlayedServer) -> None:
    server.is_new = False
    server.user["message_endpoint"] = "http://127.0.0.1:1/"
    work(Learner(), ANNA, Listening())
    endpoint = server.told("PATCH /users/myself/")["message_endpoint"]
    assert endpoint.startswith("http://127.0.0.1:")
    assert endpoint != "http://127.0.0.1:1/"


def test_one_who_fetches_leaves_the_endpoint_of_the_account_alone_and_says_so(
    server: PlayedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.user["message_endpoint"] = "http://127.0.0.1:1/"
    work(Learner(), Account(token="key"))
    assert not [call for call in server.calls() if call.startswith("PATCH")]
    assert "http://127.0.0.1:1/" in caplog.text


def test_invitations_that_came_while_it_was_away_are_answered(server: PlayedServer) -> None:
    server.invitations = [{"training": "t1", "actor": "a1"}, {"training": "t2", "actor": "a2"}]

    class Choosy(Learner):
        def accepts(self, invitation: Any) -> bool:
            return bool(invitation.actor == "a1")

    work(Choosy(), ANNA)
    answered = [call for call in server.calls() if "/t1/" in call or "/t2/" in call]
    assert answered == ["POST /trainings/t1/accept/", "POST /trainings/t2/decline/"]


def announced(kind: str, **about: Any) -> dict[str, Any]:
    body = {"round": 3, "global_model_uuid": "m"}
    return {"notification_type": kind, "id": "d1", "status": "accepted", "body": body, **about}


@pytest.mark.parametrize(
    ("kind", "call"),
    [("UPDATE_ROUND_START", "POST /models/m/"), ("MODEL_TEST_ROUND", "POST /models/m/metrics/")],
)
def test_a_round_that_an_earlier_process_left_undone_is_done(server: PlayedServer, kind: str, call: str) -> None:
    server.status = {
        "participants": [
            {"id": "other", "awaited": True, "notification": announced(kind, body=None, id=None)},
            {"id": "u1", "awaited": True, "notification": announced(kind)},
        ]
    }
    running = Running(Learner(), SERVER, ANNA)
    server.on = lambda asked: running.stop() if asked == call else None
    running.work()
    assert server.calls().count(call) == 1


@pytest.mark.parametrize(
    "row",
    [
        {"awaited": False, "notification": announced("UPDATE_ROUND_START")},
        {"awaited": True, "notification": None},
        {"awaited": True, "notification": {"notification_type": "UPDATE_ROUND_START", "id": "d1"}},
    ],
    ids=["answered", "not told", "a server that names no bodies"],
)
def test_what_is_not_awaited_or_not_said_is_not_done(server: PlayedServer, row: dict[str, Any]) -> None:
    server.status = {"participants": [{"id": "u1", **row}]}
    running = Running(Learner(), SERVER, ANNA)
    server.on = lambda asked: running.stop() if asked == "GET /trainings/t/status/" else None
    running.work()
    assert "GET /models/m/" not in server.calls()


@pytest.mark.parametrize(
    ("account", "is_new", "line"),
    [
        (ANNA, True, "Registered as anna"),
        (ANNA, False, "Signed in as anna"),
        (Account(token="key"), False, "Signed in as anna"),
    ],
)
def test_the_log_says_whether_an_account_was_registered(
    server: PlayedServer, caplog: pytest.LogCaptureFixture, account: Account, is_new: bool, line: str
) -> None:
    caplog.set_level("INFO", logger="fl_server_client")
    server.is_new = is_new
    work(Learner(), account)
    assert [record.message for record in caplog.records if " as " in record.message] == [line]


def test_the_log_has_a_line_for_each_part_of_a_round(server: PlayedServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="fl_server_client")
    server.status = {"participants": [{"id": "u1", "awaited": True, "notification": announced("UPDATE_ROUND_START")}]}
    running = Running(Learner(), SERVER, ANNA)
    server.on = lambda asked: running.stop() if asked == "POST /models/m/" else None
    running.work()
    assert [record.message for record in caplog.records][-1] == "Round 3 of training t, update: sent"


@pytest.mark.parametrize(
    ("number", "level", "name"), [(signal.SIGINT, "WARNING", "Ctrl-C"), (signal.SIGTERM, "INFO", "SIGTERM")]
)
def test_the_first_signal_is_answered_and_a_held_request_for_notifications_is_not_waited_for(
    server: PlayedServer, caplog: pytest.LogCaptureFixture, number: signal.Signals, level: str, name: str
) -> None:
    caplog.set_level("INFO", logger="fl_server_client")
    asked, ended = threading.Event(), threading.Event()

    def hold(call: str) -> None:
        if call == "GET /notifications/":
            asked.set()
            ended.wait(PATIENCE)

    server.on = hold

    def signalled(_user: Any) -> None:
        assert asked.wait(PATIENCE)
        os.kill(os.getpid(), number)

    run(Learner(), SERVER, token="key", on_ready=signalled)
    assert not ended.is_set()
    ended.set()
    sentence = f"Ending after the work under way; {name} again ends at once."
    assert (level, sentence) in [(record.levelname, record.message) for record in caplog.records]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_the_handlers_are_as_before(server: PlayedServer, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    run(Learner(), SERVER, token="key", on_ready=lambda _user: os.kill(os.getpid(), number))
    assert signal.getsignal(number) is before


def test_a_second_signal_interrupts_its_work(server: PlayedServer) -> None:
    class Slow(Learner):
        def train(self, model: Any, round: Round, options: Mapping[str, Any]) -> int:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(PATIENCE)
            return 4

    server.status = {"participants": [{"id": "u1", "awaited": True, "notification": announced("UPDATE_ROUND_START")}]}
    with pytest.raises(KeyboardInterrupt):
        run(Slow(), SERVER, token="key")


@pytest.mark.parametrize(
    ("account", "listen", "sentence"),
    [
        (Account("anna"), None, "Give a token, or a username and a password."),
        (ANNA, Listening("0.0.0.0"), "name the endpoint"),
        (ANNA, Listening("192.0.2.1"), "Can't listen at 192.0.2.1"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_asked(
    server: PlayedServer, account: Account, listen: Listening | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        work(Learner(), account, listen)
    assert server.asked == []


def test_a_wrong_password_ends_it(server: PlayedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = httpx.Response(401, json={"detail": "Invalid username/password."})
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _self, _request: refusal)
    with pytest.raises(Refused, match="401: Invalid"):
        work(Learner(), ANNA)


@pytest.mark.parametrize("found", [None, 0, -1, "many", 1.5])
def test_a_number_of_samples_that_cannot_be_is_named_and_nothing_is_sent(
    server: PlayedServer, caplog: pytest.LogCaptureFixture, found: Any
) -> None:
    class Forgetful(Learner):
        def train(self, model: Any, round: Round, options: Mapping[str, Any]) -> int:
            running.stop()
            return found  # type: ignore[no-any-return]

    server.status = {"participants": [{"id": "u1", "awaited": True, "notification": announced("UPDATE_ROUND_START")}]}
    running = Running(Forgetful(), SERVER, ANNA)
    running.work()
    assert "train() must return the number of samples" in caplog.text
    assert "POST /models/m/" not in server.calls()
