"""The example participant and its client, against a server that is played by the test."""

import io
import json
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from typing import Any

import httpx
import pytest
import torch
from fl_server_client import Notification, ParticipantClient, Refused, Session, Unreachable
from fl_server_client.model_files import is_scripted, load_model, save_model, script

from fl_server_demo.digits import build_model
from fl_server_demo.training import Classifier

pytestmark = pytest.mark.once

OF_ANOTHER_KIND = "Training with ID x is in a round of kind 'update', not of 'labels'."
Answer = Callable[[httpx.Request], httpx.Response]


def client(answer: Answer, pauses: tuple[float, ...] = (0.0, 0.0, 0.0)) -> ParticipantClient:
    return ParticipantClient("http://server/", token="key", pauses=pauses, transport=httpx.MockTransport(answer))


class PlayedServer:
    """Answers like a server with one training and one model, and keeps what it was sent."""

    def __init__(self, model_file: bytes, refusal: httpx.Response | None = None) -> None:
        self.model_file, self.refusal = model_file, refusal
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path.startswith("/api/trainings/"):
            return httpx.Response(
                200, json={"options": {"epochs": 1, "swag_epochs": 2}, "aggregation_method": "FedAvg"}
            )
        if request.method == "GET":
            return httpx.Response(200, content=self.model_file)
        return self.refusal or httpx.Response(201, json={})

    def calls(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.requests]

    def parts(self) -> dict[str, Any]:
        """The fields of the last multipart upload."""
        request = self.requests[-1]
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + request.content, policy=policy.HTTP).iter_parts()
        return {part["Content-Disposition"].params["name"]: part.get_payload(decode=True) for part in parts}


def participant(server: PlayedServer) -> Session:
    inputs, targets = torch.rand(12, 64), torch.arange(12) % 10
    return Session(client(server), Classifier(inputs, targets, inputs, targets))


def told(kind: str, number: int = 0, model: str = "m1") -> Notification:
    return Notification(kind, "t1", {"round": number, "global_model_uuid": model}, "d")


@pytest.mark.parametrize("scripted", [True, False])
def test_an_update_goes_to_the_model_that_was_named_in_the_format_it_came_in(scripted: bool) -> None:
    module: torch.nn.Module = build_model(0)
    server = PlayedServer(save_model(script(module) if scripted else module))
    participant(server).handle(told("UPDATE_ROUND_START", 3, model="passed-on"))
    assert server.calls() == [
        "GET /api/trainings/t1/",
        "GET /api/models/passed-on/",
        "POST /api/models/passed-on/",
    ]
    parts = server.parts()
    assert (parts["round"], parts["sample_size"]) == (b"3", b"12")
    assert is_scripted(parts["model_file"]) is scripted
    update = load_model(parts["model_file"]).state_dict()
    assert list(update) == list(module.state_dict())
    assert not torch.equal(update["0.weight"], module.state_dict()["0.weight"])


def test_moments_are_two_vectors_as_long_as_the_parameters() -> None:
    module = build_model(0)
    server = PlayedServer(save_model(module))
    participant(server).handle(told("SWAG_ROUND_START", 2))
    assert server.calls()[-1] == "POST /api/models/m1/swag/"
    parts = server.parts()
    first, second = (
        torch.load(io.BytesIO(parts[f"{name}_moment_file"]), weights_only=True) for name in ("first", "second")
    )
    assert first.shape == second.shape == (sum(p.numel() for p in module.parameters()),)
    assert (second - first.square() > -1e-6).all()


def test_a_test_round_posts_loss_and_accuracy() -> None:
    server = PlayedServer(save_model(build_model(0)))
    participant(server).handle(told("MODEL_TEST_ROUND", 1))
    assert server.calls()[-1] == "POST /api/models/m1/metrics/"
    form = dict(pair.split("=") for pair in server.requests[-1].content.decode().split("&")[:1])
    assert form == {"metric_names": "loss"}
    assert server.requests[-1].content.decode().count("metric_values=") == 2


def test_the_settings_of_a_training_are_asked_for_once() -> None:
    server = PlayedServer(save_model(build_model(0)))
    one = participant(server)
    one.handle(Notification("TRAINING_START", "t1"))
    one.handle(told("UPDATE_ROUND_START", 0))
    one.handle(told("UPDATE_ROUND_START", 1))
    assert server.calls().count("GET /api/trainings/t1/") == 1


@pytest.mark.parametrize(
    ("refusal", "level"),
    [
        (httpx.Response(400, json=["Training with ID t1 is not currently in round 0"]), "INFO"),
        (httpx.Response(400, json=["Training with ID t1 is in state C"]), "INFO"),
        (httpx.Response(403, json={"detail": "You are not a participant of training t1!"}), "WARNING"),
    ],
)
def test_a_refused_update_is_logged_and_does_not_stop_the_participant(
    refusal: httpx.Response, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="fl_server_client")
    server = PlayedServer(save_model(build_model(0)), refusal)
    participant(server).handle(told("UPDATE_ROUND_START"))
    assert len([call for call in server.calls() if call.startswith("POST")]) == 1
    assert [record.levelname for record in caplog.records] == [level]


def test_a_model_that_does_not_fit_the_data_is_logged_and_does_not_stop_the_participant(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = PlayedServer(save_model(torch.nn.Linear(3, 2)))
    participant(server).handle(told("UPDATE_ROUND_START"))
    assert not [call for call in server.calls() if call.startswith("POST")]
    assert "the participant's code failed" in caplog.text


def test_a_request_is_repeated_while_the_server_fails_or_cannot_be_reached() -> None:
    answers: Iterator[httpx.Response | httpx.TransportError] = iter(
        [httpx.ConnectError("no"), httpx.Response(503), httpx.Response(429), httpx.Response(200, json=[1])]
    )

    def answer(request: httpx.Request) -> httpx.Response:
        current = next(answers)
        if isinstance(current, Exception):
            raise current
        return current

    assert client(answer).call("GET", "/models/").json() == [1]


def test_a_request_is_given_up_after_the_last_pause() -> None:
    tries: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tries.append(request.headers["Authorization"])
        return httpx.Response(500, text="oh")

    with pytest.raises(Unreachable, match="500: oh"):
        client(answer).call("GET", "/models/")
    assert tries == ["Token key"] * 4


def test_one_who_gives_up_does_not_pause() -> None:
    impatient = client(lambda request: httpx.Response(500), pauses=(3600.0,))
    impatient.give_up()
    with pytest.raises(Unreachable):
        impatient.call("GET", "/models/")


@pytest.mark.parametrize(
    ("body", "sentence", "superseded"),
    [
        ({"detail": "Model x not found."}, "Model x not found.", False),
        (["Training with ID x is not currently in round 1"], "Training with ID x is not currently in round 1", True),
        ([OF_ANOTHER_KIND], OF_ANOTHER_KIND, True),
        ({"round": ["A valid integer is required."]}, "round: A valid integer is required.", False),
    ],
)
def test_a_refusal_is_not_repeated_and_says_why(body: Any, sentence: str, superseded: bool) -> None:
    tries: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tries.append(request)
        return httpx.Response(400, json=body)

    with pytest.raises(Refused) as refusal:
        client(answer).call("GET", "/models/")
    assert (refusal.value.status, refusal.value.sentence, refusal.value.is_superseded) == (400, sentence, superseded)
    assert len(tries) == 1


def test_one_who_is_registered_already_signs_in_and_uses_its_token() -> None:
    seen: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.path, request.headers["Authorization"].split()[0]))
        if request.method == "POST":
            assert json.loads(request.content)["message_endpoint"] == ""
            return httpx.Response(400, json={"username": ["A user with that username already exists."]})
        return httpx.Response(200, json={"id": "u1", "token": "fresh"})

    one = client(answer)
    assert one.sign_in("anna", "secret")["id"] == "u1"
    one.download("m")
    assert seen == [
        ("/api/users/", "Token"),
        ("/api/users/myself/", "Basic"),
        ("/api/users/u1/", "Basic"),
        ("/api/models/m/", "Token"),
    ]


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (
            {"username": ["A user with that username already exists."]},
            '401: Wrong password for "anna", or somebody else has this name.',
        ),
        ({"password": ["This password is too common."]}, "400: password: This password is too common."),
        ({"detail": "You need an invitation to register here."}, "400: You need an invitation to register here."),
    ],
)
def test_one_who_can_neither_register_nor_sign_in_is_told_why(refusal: Any, sentence: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(400, json=refusal)
        return httpx.Response(401, json={"detail": "Invalid username/password."})

    with pytest.raises(Refused) as refused:
        client(answer).sign_in("anna", "wrong")
    assert str(refused.value) == sentence


@pytest.mark.parametrize("accept", [True, False])
def test_an_invitation_is_accepted_where_the_participant_is_told_to(accept: bool) -> None:
    server = PlayedServer(b"")
    inputs, targets = torch.rand(12, 64), torch.arange(12) % 10
    one = Classifier(inputs, targets, inputs, targets)
    one.accepts_all = accept
    Session(client(server), one).handle(
        Notification("TRAINING_INVITATION", "t1", {"actor": "a1", "global_model_uuid": "m1"}, "d")
    )
    assert server.calls() == (["POST /api/trainings/t1/accept/"] if accept else [])
