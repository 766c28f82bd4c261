"""A participant as a good client is: it repeats what got no answer, and ignores a repeat of what it has heard.

Its way to the server and the server's way to it lead through a proxy each.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import requests

from tests.faults.harness import arithmetic
from tests.faults.harness.proxy import Address, Proxy

ANSWER_SECONDS = 20.0
PAUSE_SECONDS = 0.2


class Over(Exception):
    """The training that this was for has ended."""


@dataclass
class Behaviour:
    """What is unusual about a participant in one training.

    answers: whether it answers at all. delays: seconds that it lets pass before its update, by round. rejects: the
    rounds whose start it rejects. copies: how many times it sends each answer, at once. before_upload: called with the
    round before an update is sent. turns: taken while an update is made and sent, so that few large ones are in memory.
    """

    answers: bool = True
    delays: Mapping[int, float] = field(default_factory=dict)
    rejects: frozenset[int] = frozenset()
    copies: int = 1
    before_upload: Callable[[int], object] | None = None
    turns: AbstractContextManager[object] = field(default_factory=nullcontext)


@dataclass
class Attendance:
    """What a participant has seen of one training."""

    training: UUID
    behaviour: Behaviour = field(default_factory=Behaviour)
    heard: set[str] = field(default_factory=set)
    types: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    finished: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


class Participant:
    """One user with a listener; it takes part in one training at a time."""

    def __init__(self, number: int, web: Callable[[], list[Address]]) -> None:
        self.number = number
        self.id = UUID(int=(number + 1) << 96 | 4 << 76 | 1 << 63)
        self.token = ""
        self._attendance: Attendance | None = None
        self._todo: queue.SimpleQueue[tuple[Attendance, dict[str, Any]] | None] = queue.SimpleQueue()
        self._listener = _Listener(("127.0.0.1", 0), _handler(self))
        self._listening = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)
        self._working = threading.Thread(target=self._work, daemon=True)
        port = self._listener.server_address[1]
        self.inbox = Proxy(lambda: [("127.0.0.1", int(port))])
        self.outbox = Proxy(web)
        self._listening.start()
        self._working.start()

    def close(self) -> None:
        """Stop listening and working; end the exchange that is under way."""
        self.leave()
        self._todo.put(None)
        for server in (self._listener, self.inbox, self.outbox):
            server.close()
        self._working.join(ANSWER_SECONDS)

    def attend(self, training: UUID, behaviour: Behaviour | None = None) -> Attendance:
        """Take part in a training from now on, and in no other."""
        self.leave()
        self._attendance = Attendance(training, behaviour or Behaviour())
        return self._attendance

    def leave(self) -> None:
        """Do nothing more for the training that was attended last."""
        if self._attendance is not None:
            self._attendance.over.set()

    @property
    def attendance(self) -> Attendance:
        assert self._attendance is not None
        return self._attendance

    def hear(self, notification: dict[str, Any], delivery: str) -> int:
        """Take in a notification. Returns: the status to answer with."""
        attendance = self._attendance
        if attendance is None or notification["training_uuid"] != str(attendance.training):
            return 200
        kind, body = notification["notification_type"], notification["body"]
        if kind == "UPDATE_ROUND_START" and body["round"] in attendance.behaviour.rejects:
            return 403
        if delivery not in attendance.heard:
            attendance.heard.add(delivery)
            attendance.types.append(kind)
            self._todo.put((attendance, notification))
        if kind == "TRAINING_FINISHED":
            attendance.finished.set()
        return 200

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            attendance, notification = item
            try:
                self._do(attendance, notification["notification_type"], notification["body"])
            except Over:
                continue
            except Exception as error:
                attendance.failures.append(repr(error))
                raise

    def _do(self, attendance: Attendance, kind: str, body: dict[str, Any]) -> None:
        tasks = {"UPDATE_ROUND_START": self._update, "SWAG_ROUND_START": self._moments, "MODEL_TEST_ROUND": self._test}
        if kind in tasks and attendance.behaviour.answers:
            with attendance.behaviour.turns:
                tasks[kind](attendance, str(body["global_model_uuid"]), int(body["round"]))

    def _update(self, attendance: Attendance, model: str, round: int) -> None:
        weights = self._download(attendance, model)
        if weights is None:
            return
        content = arithmetic.update_file(weights, self.number, round)
        fields = {"round": round, "sample_size": arithmetic.sample_size(self.number, round)}
        attendance.over.wait(attendance.behaviour.delays.get(round, 0.0))
        if attendance.behaviour.before_upload is not None:
            attendance.behaviour.before_upload(round)
        self._send(attendance, f"models/{model}/", fields, {"model_file": content})

    def _moments(self, attendance: Attendance, model: str, round: int) -> None:
        weights = self._download(attendance, model)
        if weights is None:
            return
        first, second = arithmetic.moment_files(weights, self.number)
        fields = {"round": round, "sample_size": arithmetic.sample_size(self.number, round)}
        files = {"first_moment_file": first, "second_moment_file": second}
        self._send(attendance, f"models/{model}/swag/", fields, files)

    def _test(self, attendance: Attendance, model: str, round: int) -> None:
        fields = {"metric_names": ["loss"], "metric_values": [str(1 / (round + 1))]}
        self._send(attendance, f"models/{model}/metrics/", fields, {})

    def _download(self, attendance: Attendance, model: str) -> arithmetic.Weights | None:
        answer = self._persist(attendance, "GET", f"models/{model}/")
        return arithmetic.weights_of(answer.content) if answer.ok else None

    def _send(self, attendance: Attendance, path: str, fields: dict[str, Any], files: dict[str, bytes]) -> None:
        parts = {name: ("model.pt", content) for name, content in files.items()}
        copies = [
            threading.Thread(target=self._persist, args=(attendance, "POST", path), kwargs=_form(fields, parts))
            for _ in range(attendance.behaviour.copies - 1)
        ]
        for copy in copies:
            copy.start()
        try:
            self._persist(attendance, "POST", path, **_form(fields, parts))
        finally:
            for copy in copies:
                copy.join()

    def _persist(self, attendance: Attendance, method: str, path: str, **content: Any) -> requests.Response:
        """Ask until there is an answer that is neither a failure of the server nor none. Refusals are noted."""
        headers = {"Authorization": f"Token {self.token}", "Connection": "close"}
        while not attendance.over.is_set():
            try:
                url = f"{self.outbox.url}/api/{path}"
                answer = requests.request(method, url, headers=headers, timeout=ANSWER_SECONDS, **content)
            except requests.RequestException:
                attendance.over.wait(PAUSE_SECONDS)
                continue
            if answer.status_code >= 500:
                attendance.over.wait(PAUSE_SECONDS)
                continue
            if not answer.ok:
                attendance.refusals.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            return answer
        raise Over


def _form(fields: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    return {"data": fields, "files": parts} if parts else {"data": fields}


class _Listener(ThreadingHTTPServer):
    block_on_close = False
    request_queue_size = 128

    def close(self) -> None:
        self.shutdown()
        self.server_close()


def _handler(participant: Participant) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notification = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(participant.hear(notification, self.headers["X-Delivery-Id"]))
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    return Handler
