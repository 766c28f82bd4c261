"""A participant as people write it with the client package. A proxy each is on its ways to and from the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import fl_server_client
import httpx
import numpy as np
from fl_server_client import (
    Agenda,
    Listener,
    Notification,
    ParticipantClient,
    Refused,
    Rejected,
    Round,
    Session,
    Verifier,
)
from fl_server_client.inbox import ROUNDS

from tests.faults.harness import arithmetic
from tests.faults.harness.proxy import Address, Proxy

# Longer than any fault lasts, and with short pauses, so that the tests are.
PAUSES = (0.2,) * 1000


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


class Participant:
    """One user with a listener; it takes part in one training at a time."""

    def __init__(self, number: int, web: Callable[[], list[Address]]) -> None:
        self.number = number
        self.id = UUID(int=(number + 1) << 96 | 4 << 76 | 1 << 63)
        self.token = ""
        self._attendance: Attendance | None = None
        self._process: _Process | None = None
        self.outbox = Proxy(web)
        self._verifier = Verifier(self._ask_for_secrets)
        self._listener = Listener(self._hear, verifier=self._verifier)
        port = httpx.URL(self._listener.url()).port or 0
        self.inbox = Proxy(lambda: [("127.0.0.1", port)])

    def close(self) -> None:
        """Stop listening and working; end the exchange that is under way."""
        self.leave()
        for server in (self._listener, self.inbox, self.outbox):
            server.close()

    def attend(self, training: UUID, behaviour: Behaviour | None = None) -> Attendance:
        """Take part in a training from now on, and in no other."""
        self.leave()
        self._verifier.load()
        attendance = Attendance(training, behaviour or Behaviour())
        self._process = _Process(self, attendance)
        self._attendance = attendance
        return attendance

    def restart(self) -> None:
        """Forget everything, as a process that is killed, and begin anew."""
        assert self._process is not None
        self._process.end()
        self._process = _Process(self, self.attendance)
        self._process.catch_up()

    def leave(self) -> None:
        """Do nothing more for the training that was attended last."""
        self._attendance = None
        if self._process is not None:
            self._process.end()

    @property
    def attendance(self) -> Attendance:
        assert self._attendance is not None
        return self._attendance

    def _hear(self, notification: Notification) -> None:
        attendance, process = self._attendance, self._process
        if attendance is None or process is None or notification.training != str(attendance.training):
            return
        kind = notification.type
        if kind == "UPDATE_ROUND_START" and notification.round in attendance.behaviour.rejects:
            raise Rejected
        if notification.delivery not in attendance.heard:
            attendance.heard.add(notification.delivery)
            attendance.types.append(kind)
        if kind == "TRAINING_FINISHED":
            attendance.finished.set()
        if attendance.behaviour.answers or kind not in ROUNDS:
            process.agenda.put(notification)

    def _ask_for_secrets(self) -> list[str]:
        with ParticipantClient(self.outbox.url, token=self.token, pauses=PAUSES, transport=_OneByOne()) as client:
            return client.notification_secrets()


class _Process:
    """What one process of a participant holds in memory, with a thread that works."""

    def __init__(self, person: Participant, attendance: Attendance) -> None:
        self.agenda = Agenda()
        self._person, self._attendance = person, attendance
        self._over = threading.Event()
        self._client = _Client(person, attendance)
        self._session = Session(self._client, _Learner(person.number, attendance, self._over))
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def catch_up(self) -> None:
        """Ask for what is still to be done."""
        self._session.catch_up(str(self._person.id), self.agenda)

    def end(self) -> None:
        """Stop working, wherever it is: what it does later reaches nobody."""
        self._over.set()
        self.agenda.close()
        self._client.close()

    def _work(self) -> None:
        while (notification := self.agenda.get()) is not None:
            with self._attendance.behaviour.turns:
                self._session.handle(notification)


class _Learner(fl_server_client.Participant):
    """Computes what the test can compute, too, and notes what fails."""

    def __init__(self, number: int, attendance: Attendance, over: threading.Event) -> None:
        self.models = _StateDicts()
        self._number, self._attendance, self._over = number, attendance, over

    def train(self, model: arithmetic.Weights, round: Round, options: Mapping[str, Any]) -> int:
        behaviour = self._attendance.behaviour
        model.update(arithmetic.update_of(model, self._number, round.number))
        self._over.wait(behaviour.delays.get(round.number, 0.0))
        try:
            if behaviour.before_upload is not None and not self._over.is_set():
                behaviour.before_upload(round.number)
        except Exception as error:
            self._attendance.failures.append(repr(error))
            raise
        return arithmetic.sample_size(self._number, round.number)

    def moments(
        self, model: arithmetic.Weights, round: Round, options: Mapping[str, Any]
    ) -> tuple[np.ndarray, np.ndarray, int]:
        first, second = arithmetic.moments_of(model, self._number)
        return first, second, arithmetic.sample_size(self._number, round.number)

    def evaluate(self, model: arithmetic.Weights) -> dict[str, float]:
        return {"loss": float(np.square(model["0.bias"]).mean())}


class _StateDicts:
    """Reads modules into arrays and writes state dicts, whose bytes are the same each time."""

    form = "torch"

    def load(self, data: bytes) -> arithmetic.Weights:
        return arithmetic.weights_of(data)

    def save(self, model: arithmetic.Weights) -> bytes:
        return arithmetic.state_file(model)

    def parameters(self, model: arithmetic.Weights) -> arithmetic.Weights:
        return dict(model)


class _Client(ParticipantClient):
    """Notes refusals; sends each answer as often as the behaviour says."""

    def __init__(self, person: Participant, attendance: Attendance) -> None:
        super().__init__(person.outbox.url, token=person.token, pauses=PAUSES, transport=_OneByOne())
        self._attendance = attendance

    def call(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        number = self._attendance.behaviour.copies - 1 if method == "POST" else 0
        copies = [threading.Thread(target=self._once, args=(method, path), kwargs=kwargs) for _ in range(number)]
        for copy in copies:
            copy.start()
        try:
            return self._once(method, path, **kwargs)
        finally:
            for copy in copies:
                copy.join()

    def _once(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            return super().call(method, path, **kwargs)
        except Refused as refusal:
            self._attendance.refusals.append(f"{method} {path}: {refusal}")
            raise


class _OneByOne(httpx.HTTPTransport):
    """A connection for each exchange: the proxies know no others."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Connection"] = "close"
        return super().handle_request(request)
