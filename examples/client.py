"""The HTTP calls that participants and actors use."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import httpx

logger = logging.getLogger(__name__)

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)
"""Seconds between tries. Together a minute and a half: longer than a server needs to restart."""
FIRST_PAUSES = (0.5, 1.0)
"""For the first request: whoever mistyped the server's address shouldn't have to wait."""
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
# Shorter than the time after which servers close idle connections, so that no request uses a closed one.
LIMITS = httpx.Limits(keepalive_expiry=1.0)

SUPERSEDED = ("not currently in round", "is in state", "is in a round of kind")
"""What the server says when the training has gone on to another round."""


class Refused(Exception):
    """The server refused the request (4xx). Repeating it would not help."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(f"{status}: {sentence}")
        self.status = status
        self.sentence = sentence

    @property
    def is_superseded(self) -> bool:
        """Whether the submission was for a round that is already over."""
        return self.status == 400 and any(part in self.sentence for part in SUPERSEDED)


class Unreachable(Exception):
    """The server could not be reached or failed on every try."""


class Client:
    """Sends requests with a token. Retries with growing pauses while the server is unreachable or fails (5xx, 429).

    Every call may raise Refused or Unreachable. Several threads may share a client.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str = "",
        pauses: Sequence[float] = PAUSES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Token {token}"
        self._http = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/api",
            headers=headers,
            timeout=TIMEOUT,
            limits=LIMITS,
            transport=transport,
            trust_env=False,
        )
        self.pauses = pauses
        self._closing = threading.Event()

    def give_up(self) -> None:
        """Stop retrying: a call that is pausing between two tries fails now; later calls are tried once."""
        self._closing.set()

    def close(self) -> None:
        """Close the connections."""
        self.give_up()
        self._http.close()

    def call(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Send a request. Keyword arguments are those of `httpx.Client.request`."""
        problem = ""
        for pause in (*self.pauses, None):
            try:
                response = self._http.request(method, path, **kwargs)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if response.is_success:
                    return response
                problem = f"{response.status_code}: {_sentence(response)}"
                if not (response.is_server_error or response.status_code == 429):
                    raise Refused(response.status_code, _sentence(response))
            if pause is None or self._closing.is_set():
                break
            logger.info("%s %s: %s; trying again in %s s", method, path, problem, pause)
            if self._closing.wait(pause):
                break
        raise Unreachable(f"{method} {path} failed: {problem}")

    def sign_in(self, username: str, password: str, *, message_endpoint: str = "", **about: Any) -> dict[str, Any]:
        """Register, or sign in with the password if the name is taken. Later calls send the user's token.

        Returns the user with id and token. If message_endpoint is empty, the server sends no notifications; fetch them.
        An account that exists already keeps its endpoint: see `move_to`.
        """
        body = {"username": username, "password": password, "message_endpoint": message_endpoint, **about}
        try:
            user = self.call("POST", "/users/", json=body).json()
        except Refused as refusal:
            try:
                return self.log_in(username, password)
            except Refused:
                raise refusal from None
        self._http.headers["Authorization"] = f"Token {user['token']}"
        return dict(user)

    def log_in(self, username: str, password: str) -> dict[str, Any]:
        """Sign in without registering; return the user. Later calls send the user's token."""
        myself = self.call("GET", "/users/myself/", auth=(username, password)).json()
        user = self.call("GET", f"/users/{myself['id']}/", auth=(username, password)).json()
        self._http.headers["Authorization"] = f"Token {user['token']}"
        return dict(user)

    def training(self, training_id: str) -> dict[str, Any]:
        """A training: state, methods, options, how many updates have arrived."""
        return dict(self.call("GET", f"/trainings/{training_id}/").json())

    def download(self, model_id: str) -> bytes:
        """A model's file."""
        return self.call("GET", f"/models/{model_id}/").content


class ParticipantClient(Client):
    """A participant's calls."""

    def move_to(self, message_endpoint: str) -> None:
        """Have notifications sent to this URL from now on."""
        self.call("PATCH", "/users/myself/", json={"message_endpoint": message_endpoint})

    def notification_secrets(self) -> list[str]:
        """The secrets with which the server signs notifications, the newest first."""
        return list(self.call("GET", "/users/myself/notification-secrets/").json()["secrets"])

    def trust(self, actors: Sequence[str] | str) -> None:
        """Take part in these actors' trainings without being asked: their user ids, or "everyone"."""
        trusted = actors if isinstance(actors, str) else list(actors)
        self.call("PATCH", "/users/myself/", json={"trusted_actors": trusted})

    def invitations(self) -> list[dict[str, Any]]:
        """The invitations that are not answered: training, actor, global_model_uuid."""
        return list(self.call("GET", "/users/invitations/").json())

    def accept(self, training_id: str) -> None:
        """Accept the invitation to a training."""
        self.call("POST", f"/trainings/{training_id}/accept/", json={})

    def leave(self, training_id: str) -> None:
        """Leave a training."""
        self.call("POST", f"/trainings/{training_id}/leave/", json={})

    def send_update(self, model_id: str, number: int, sample_size: int, model_file: bytes) -> None:
        """Upload the update of round `number` to the model named in the round's notification."""
        self.call(
            "POST",
            f"/models/{model_id}/",
            data={"round": str(number), "sample_size": str(sample_size)},
            files={"model_file": ("model.pt", model_file)},
        )

    def send_moments(self, model_id: str, number: int, sample_size: int, first: bytes, second: bytes) -> None:
        """Upload SWAG's moments. Each file holds one vector."""
        self.call(
            "POST",
            f"/models/{model_id}/swag/",
            data={"round": str(number), "sample_size": str(sample_size)},
            files={"first_moment_file": ("first.pt", first), "second_moment_file": ("second.pt", second)},
        )

    def send_metrics(self, model_id: str, metrics: Mapping[str, float]) -> None:
        """Send the results of a test round."""
        values = [repr(value) for value in metrics.values()]
        self.call("POST", f"/models/{model_id}/metrics/", data={"metric_names": list(metrics), "metric_values": values})

    def notifications(self, wait: int) -> list[dict[str, Any]]:
        """Fetch notifications that aren't acknowledged, oldest first. The server waits up to `wait` seconds for one."""
        return list(self.call("GET", "/notifications/", params={"wait": wait}).json())

    def acknowledge(self, delivery: str, *, accept: bool = True) -> None:
        """Accept or reject a notification that was fetched."""
        self.call("POST", f"/notifications/{delivery}/ack/", json={"accept": accept})


def _sentence(response: httpx.Response) -> str:
    """The reason for a refusal, from {"detail": …}, a list or a map of fields; shortened to a readable length."""
    try:
        body = response.json()
    except ValueError:
        return " ".join(response.text.split())[:300] or response.reason_phrase
    if isinstance(body, dict) and isinstance(body.get("detail"), str):
        return str(body["detail"])
    if isinstance(body, dict) and all(isinstance(sentences, list) for sentences in body.values()):
        return " ".join(f"{name}: {sentence}" for name, sentences in body.items() for sentence in sentences)[:300]
    if isinstance(body, list) and len(body) == 1:
        return str(body[0])
    return str(body)[:300]


class CommandLine(argparse.ArgumentParser):
    """Reads arguments; says what is wrong with them in one line."""

    def error(self, message: str) -> NoReturn:
        """Explain a wrong argument and end the program."""
        give_up_with(f"{message} (--help explains the arguments)")


def give_up_with(sentence: object) -> NoReturn:
    """End the program because of what its user gave it: a sentence on standard error, exit code 2."""
    print(" ".join(str(sentence).split()), file=sys.stderr)
    sys.exit(2)


def password() -> str:
    """The user's password, from the environment: arguments can be seen by everyone on the machine."""
    found = os.environ.get("FL_PASSWORD", "")
    if not found:
        give_up_with("Set the environment variable FL_PASSWORD to the user's password.")
    return found


def server_address(text: str) -> str:
    """The address of a server, as a type of argparse's arguments."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 80) < 2**16:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as http://127.0.0.1:8000")
    return text
