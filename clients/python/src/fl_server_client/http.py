"""The HTTP calls that participants and actors have in common."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from .downloads import Download, Progress
from .errors import Refused, Unreachable, sentence_of
from .retrying import PAUSES, may_help, with_jitter

logger = logging.getLogger(__name__)

TAKEN = "username already exists"
"""What the server says of a name that somebody has."""
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
# Shorter than the time after which servers close idle connections, so that no request uses a closed one.
LIMITS = httpx.Limits(keepalive_expiry=1.0)


class Client:
    """Sends requests with a token. Retries with growing pauses while the server is unreachable or fails (5xx, 429).

    Every call may raise Refused or Unreachable. Several threads may share a client.
    """

    def __init__(
        self,
        server: str,
        *,
        token: str = "",
        pauses: Sequence[float] = PAUSES,
        transport: httpx.BaseTransport | None = None,
        direct: bool = False,
    ) -> None:
        """Prepare calls; none is sent yet.

        Args:
            server: its address, such as https://fl.example.org.
            pauses: seconds between tries.
            direct: fetch models from the server's bucket, if it has one and this program can reach it.
        """
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Token {token}"
        self._http = httpx.Client(
            base_url=f"{server.rstrip('/')}/api",
            headers=headers,
            timeout=TIMEOUT,
            limits=LIMITS,
            transport=transport,
            trust_env=False,
        )
        self.pauses = pauses
        self._direct = direct
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def token(self) -> str:
        """The token that requests are sent with; empty before signing in."""
        return str(self._http.headers.get("Authorization", "")).removeprefix("Token ")

    @property
    def has_given_up(self) -> bool:
        """Whether `give_up` or `close` was called."""
        return self._closing.is_set()

    def give_up(self) -> None:
        """Stop retrying: a call that is pausing between two tries fails now; later calls are tried once."""
        self._closing.set()

    def close(self) -> None:
        """Close the connections."""
        self.give_up()
        self._http.close()

    def call(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Send a request. Keyword arguments are those of `httpx.Client.request`."""
        for pause in (*self.pauses, None):
            response: httpx.Response | None = None
            cause: httpx.TransportError | None = None
            try:
                response = self._http.request(method, path, **kwargs)
            except RuntimeError as error:  # what httpx raises where another thread has closed the client
                if not self._http.is_closed:
                    raise
                raise Unreachable(f"{method} {path} was not sent: this client is closed.") from error
            except httpx.TransportError as error:
                problem, cause = f"{type(error).__name__}: {error}", error
            else:
                if response.is_success:
                    return response
                problem = f"{response.status_code}: {sentence_of(response)}"
                if not may_help(response):
                    raise Refused.by(response)
            if not self._pause(pause, response, f"{method} {path}: {problem}"):
                break
        raise Unreachable(f"{method} {path} failed: {problem}") from cause

    def sign_in(self, username: str, password: str, *, message_endpoint: str = "", **about: Any) -> dict[str, Any]:
        """Register, or sign in with the password if the name is taken. Later calls send the user's token.

        Returns the user with id and token. If message_endpoint is empty, the server sends no notifications; fetch them.
        An account that exists already keeps its endpoint: see `ParticipantClient.move_to`. about: other fields of the
        account, such as `invitation`.

        Raises:
            Refused: the server doesn't register this name, or the name is taken and the password isn't its owner's.
        """
        body = {"username": username, "password": password, "message_endpoint": message_endpoint, **about}
        try:
            user = self.call("POST", "/users/", json=body).json()
        except Refused as refusal:
            try:
                return self.log_in(username, password)
            except Refused as second:
                if TAKEN in refusal.sentence and second.status == 401:
                    sentence = f'Wrong password for "{username}", or somebody else has this name.'
                    raise Refused(second.status, sentence) from None
                raise refusal from None
        self._http.headers["Authorization"] = f"Token {user['token']}"
        logger.info("Registered as %s", username)
        return dict(user)

    def log_in(self, username: str, password: str) -> dict[str, Any]:
        """Sign in without registering; return the user. Later calls send the user's token."""
        myself = self.call("GET", "/users/myself/", auth=(username, password)).json()
        user = self.call("GET", f"/users/{myself['id']}/", auth=(username, password)).json()
        self._http.headers["Authorization"] = f"Token {user['token']}"
        logger.info("Signed in as %s", username)
        return dict(user)

    def myself(self) -> dict[str, Any]:
        """The user that this client is signed in as."""
        return dict(self.call("GET", "/users/myself/").json())

    def training(self, training_id: str) -> dict[str, Any]:
        """A training: state, methods, options, how many updates have arrived."""
        return dict(self.call("GET", f"/trainings/{training_id}/").json())

    def download(self, model_id: str, *, version: int | None = None, form: str = "torch") -> bytes:
        """A model's file, or that of one of its versions.

        form: "torch", the file as PyTorch wrote it, or "safetensors", tensors without any code.

        Raises:
            Damaged: what arrived does not have the digest that the server names.
        """
        download = self._start_download(model_id, version, form)
        return download.content()

    def download_to(
        self,
        path: Path,
        model_id: str,
        *,
        version: int | None = None,
        form: str = "torch",
        progress: Progress = lambda _done, _total: None,
    ) -> None:
        """Write a model's file to `path`, where it appears once it is complete. Raises as `download`."""
        download = self._start_download(model_id, version, form, progress)
        download.write_to(path)

    def _start_download(
        self, model_id: str, version: int | None, form: str, progress: Progress = lambda _done, _total: None
    ) -> Download:
        query = {} if version is None else {"version": str(version)}
        if form != "torch":
            query["format"] = form
        return Download(
            self._http,
            f"/models/{model_id}/",
            query,
            pauses=self.pauses,
            pause=self._pause,
            progress=progress,
            direct=self._direct,
        )

    def _pause(self, pause: float | None, response: httpx.Response | None, problem: str) -> bool:
        """Wait before the next try; False if there is none."""
        if pause is None or self._closing.is_set():
            return False
        seconds = with_jitter(pause, response)
        logger.info("%s; trying again in %.1f s", problem, seconds)
        return not self._closing.wait(seconds)
