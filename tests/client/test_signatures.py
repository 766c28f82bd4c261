"""The example participant takes what the server has signed, once, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fl_server_client import Agenda, Listener, ParticipantClient, Refused, Unreachable, Verifier, signatures

from fl_server_ai.notification.signing import signed_headers

OLD, NEW, FOREIGN = ("whsec_" + 8 * text for text in ("b2xk", "bmV3", "Zm9y"))
CONTENT = json.dumps({"notification_type": "TRAINING_START", "training_uuid": "t", "body": {}}).encode()


def headers_of(*secrets: str, content: bytes = CONTENT, age: int = 0, identifier: str = "") -> dict[str, str]:
    identifier = identifier or str(uuid4())
    timestamp = int(time.time()) - age
    headers = signed_headers(content, delivery_id=identifier, timestamp=timestamp, secrets=secrets)
    return {**headers, "X-Delivery-Id": identifier}


class Server:
    """Names these secrets, or refuses to."""

    def __init__(self, *secrets: str) -> None:
        self.secrets: list[str] | Exception = list(secrets)
        self.asked = 0

    def fetch(self) -> list[str]:
        self.asked += 1
        if isinstance(self.secrets, Exception):
            raise self.secrets
        return self.secrets


class Inbox:
    def __init__(self, server: Server) -> None:
        self.agenda = Agenda()
        self.taken: list[str] = []
        self.verifier = Verifier(server.fetch)
        self.listener = Listener(self._take, verifier=self.verifier)

    def _take(self, notification: Any) -> None:
        self.taken.append(notification.delivery)
        self.agenda.put(notification)

    def post(self, headers: Mapping[str, str], content: bytes = CONTENT) -> int:
        return httpx.post(self.listener.url(), content=content, headers=dict(headers), trust_env=False).status_code


@pytest.fixture
def server() -> Server:
    return Server(NEW, OLD)


@pytest.fixture
def inbox(server: Server) -> Iterator[Inbox]:
    inbox = Inbox(server)
    inbox.verifier.load()
    yield inbox
    inbox.listener.close()


@pytest.mark.parametrize("secrets", [[NEW], [OLD], [FOREIGN, OLD]])
def test_what_one_of_its_secrets_has_signed_is_taken(inbox: Inbox, secrets: list[str]) -> None:
    headers = headers_of(*secrets)
    assert inbox.post(headers) == 200
    assert inbox.taken == [headers["webhook-id"]]


NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *((name, lambda _value: "") for name in NAMES),
        ("webhook-id", lambda _value: str(uuid4())),
        ("webhook-timestamp", lambda value: str(int(value) + 1)),
        ("webhook-timestamp", lambda value: f"{value}x"),
        ("webhook-signature", lambda value: value.replace("v1,", "v2,")),
        ("webhook-signature", lambda value: value.removeprefix("v1,")),
        ("webhook-signature", lambda value: value[:-2]),
        ("webhook-signature", lambda _value: headers_of(FOREIGN)["webhook-signature"]),
    ],
)
def test_a_message_with_other_headers_than_the_server_s_is_refused(
    inbox: Inbox, name: str, change: Callable[[str], str]
) -> None:
    headers = headers_of(NEW)
    assert inbox.post({**headers, name: change(headers[name])}) == 401
    assert inbox.post({key: value for key, value in headers.items() if key != name}) == 401
    assert inbox.taken == []


def test_a_changed_message_is_refused(inbox: Inbox) -> None:
    headers = headers_of(NEW)
    assert inbox.post(headers, CONTENT.replace(b"START", b"FINISHED")) == 401
    assert inbox.post(headers_of(FOREIGN)) == 401
    assert inbox.post({}) == 401
    assert inbox.taken == []


@pytest.mark.parametrize(("age", "status"), [(310, 503), (-310, 503), (240, 200), (-240, 200)])
def test_a_message_of_five_minutes_ago_is_not_taken(inbox: Inbox, age: int, status: int) -> None:
    assert inbox.post(headers_of(NEW, age=age)) == status
    assert len(inbox.taken) == (status == 200)


def test_a_replayed_message_is_not_worked_on_again_whatever_other_id_it_is_given(inbox: Inbox) -> None:
    headers = headers_of(NEW)
    assert inbox.post(headers) == 200
    assert inbox.post({**headers, "X-Delivery-Id": str(uuid4())}) == 200  # so that the server can repeat it
    assert inbox.post(headers_of(NEW, identifier=headers["webhook-id"])) == 200
    other = headers_of(NEW)
    assert inbox.post(other) == 200
    worked_on = [inbox.agenda.get(), inbox.agenda.get()]
    assert [one.delivery for one in worked_on if one] == [headers["webhook-id"], other["webhook-id"]]


def test_before_the_secrets_are_known_the_server_is_asked_to_try_again(server: Server) -> None:
    inbox = Inbox(server)
    assert inbox.post(headers_of(NEW)) == 503
    inbox.verifier.load()
    assert inbox.post(headers_of(NEW)) == 200
    inbox.listener.close()


def test_rotated_secrets_are_asked_for_again_but_not_for_each_forgery(
    inbox: Inbox, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.secrets = [FOREIGN, NEW]
    assert [inbox.post(headers_of(FOREIGN)), server.asked] == [401, 1]  # asked a moment ago
    monkeypatch.setattr(signatures, "ASK_AGAIN_SECONDS", 0.0)
    assert [inbox.post(headers_of(FOREIGN)), server.asked] == [200, 2]
    assert [inbox.post(headers_of(OLD)), server.asked] == [401, 3]


@pytest.mark.parametrize("problem", [Refused(401, "no"), Unreachable("away")])
def test_secrets_that_cannot_be_asked_for_again_still_count(
    inbox: Inbox, server: Server, problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "ASK_AGAIN_SECONDS", 0.0)
    server.secrets = problem
    assert [inbox.post(headers_of(FOREIGN)), inbox.post(headers_of(NEW))] == [401, 200]


def test_what_a_server_sends_that_knows_no_secrets_is_taken(server: Server) -> None:
    server.secrets = Refused(404, "Not found.")
    inbox = Inbox(server)
    inbox.verifier.load()
    assert inbox.post({"X-Delivery-Id": "d1"}) == 200
    assert inbox.taken == ["d1"]
    inbox.listener.close()


def test_the_client_asks_the_server_for_the_secrets() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("GET", "/api/users/myself/notification-secrets/")
        return httpx.Response(200, json={"secrets": [NEW, OLD]})

    client = ParticipantClient("http://server", token="key", transport=httpx.MockTransport(answer))
    assert client.notification_secrets() == [NEW, OLD]
