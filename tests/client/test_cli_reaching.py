"""What `fl` says where no server answers, or something else does."""

import httpx
import pytest
from fl_server_client.cli import reaching, train

from tests.client.played_server import SERVER, PlayedServer, Run

pytestmark = pytest.mark.once
LOGIN = ("--username", "anna", "--password", "x")
WRONG = "No fl-server answers at {}: give its address only, such as https://fl.example.org.\n"


def away(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("[Errno 111] Connection refused")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "PAUSES", (0.0,))


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["train", "list"], "GET /api/trainings/"),
        (["train", "status", "t"], "GET /api/trainings/t/status/"),
        (["train", "watch", "t"], "GET /api/trainings/t/status/"),
        (["model", "pull", "m", "-o", "x.pt"], "GET /api/users/myself/"),
        (["participant", "invitations"], "GET /api/users/invitations/"),
        (["login", SERVER, *LOGIN], "GET /api/users/myself/"),
        (["register", SERVER, *LOGIN], "POST /api/users/"),
    ],
)
def test_a_server_that_is_away_is_named_after_two_tries(
    fl: Run, server: PlayedServer, words: list[str], call: str
) -> None:
    server.answers[call] = away
    sentence = f"Can't reach {SERVER}: connection refused. Is the server running, and the address right?\n"
    assert fl(*words) == (2, "", sentence)
    assert server.calls() == [call] * 2


def test_a_server_that_answers_and_fails_keeps_its_sentence(fl: Run, server: PlayedServer) -> None:
    server.answers["GET /api/trainings/"] = httpx.Response(503, json={"detail": "The database is unavailable."})
    assert fl("train", "list") == (2, "", "GET /trainings/ failed: 503: The database is unavailable.\n")


def test_large_files_are_fetched_with_patience_once_the_server_has_answered(
    fl: Run, server: PlayedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "PATIENT", (0.0,) * 4)
    server.answers["GET /api/models/m/"] = away
    assert fl("model", "pull", "m", "-o", "x.pt")[0] == 2
    assert server.calls() == ["GET /api/users/myself/", *["GET /api/models/m/"] * 5]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json={"detail": "Not found."}),
        httpx.Response(302, headers={"Location": "/admin/login/"}),
        httpx.Response(403, text="<html>CSRF verification failed.</html>"),
        httpx.Response(200, text="<html>Welcome!</html>"),
        httpx.Response(200, json={"hello": "world"}),
        httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"),
    ],
)
@pytest.mark.parametrize("command", ["login", "register"])
def test_an_address_where_something_else_answers_is_refused(
    fl: Run, server: PlayedServer, answer: httpx.Response | Exception, command: str
) -> None:
    def other(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    for call in ("GET /admin/api/users/myself/", "POST /admin/api/users/"):
        server.answers[call] = other
    assert fl(command, "http://new.example.org/admin", *LOGIN) == (2, "", WRONG.format("http://new.example.org/admin"))


def test_a_certificate_that_is_not_trusted_is_told(fl: Run, server: PlayedServer) -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)"
        )

    server.answers["GET /api/users/myself/"] = refuse
    reason = "certificate verify failed: self-signed certificate."
    assert f"Can't reach https://new.example.org: {reason}" in fl("login", "https://new.example.org", *LOGIN)[2]


@pytest.mark.parametrize("path", ["", "/", "/api", "/api/"])
def test_the_path_of_the_api_is_no_part_of_the_address(fl: Run, server: PlayedServer, path: str) -> None:
    server.answers["GET /api/users/myself/"] = {"id": "u1"}
    server.answers["GET /api/users/u1/"] = {"id": "u1", "username": "anna", "token": "fresh"}
    assert "at http://new.example.org. The" in fl("login", f"http://new.example.org{path}", *LOGIN)[1]
    fl("model", "list")
    assert str(server.asked[-1].url) == "http://new.example.org/api/models/"
    assert server.asked[-1].headers["Authorization"] == "Token fresh"


def test_a_wrong_password_is_told_as_such(fl: Run, server: PlayedServer) -> None:
    server.answers["GET /api/users/myself/"] = httpx.Response(401, json={"detail": "Invalid username/password."})
    assert fl("login", SERVER, *LOGIN) == (2, "", "401: Invalid username/password.\n")


def test_watch_says_on_standard_error_that_it_tries_again(
    fl: Run, server: PlayedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fl_server_client.watching.SECONDS_PER_TRY", 0.0)
    looks = iter([None, *[away] * 4])  # the first is that of the start

    def training(request: httpx.Request) -> httpx.Response:
        found = next(looks, None)
        about = {"model": "m", "participants": ["a"], "target_num_updates": 1, "state": "C"}
        return found(request) if found else httpx.Response(200, json=about)

    server.answers |= {
        "GET /api/trainings/t/status/": {"state": "O", "round": 1, "rounds_closed": 1, "target_num_updates": 1},
        "GET /api/trainings/t/": training,
        "GET /api/trainings/t/models/": [{"id": "m", "round": 1}],
        "GET /api/models/m/metrics/": [],
    }
    assert fl("train", "watch", "t") == (0, "training t: completed after 1 of 1 rounds\n", f"{train.AWAY}\n")
