"""One training on a server under test: started, waited for, and compared with what it should have come to."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import requests

from tests.builders.waiting import wait_until
from tests.faults.harness import arithmetic
from tests.faults.harness.mode import ROUNDS
from tests.faults.harness.participant import Attendance, Behaviour, Participant
from tests.faults.harness.proxy import Fault
from tests.faults.harness.site import Site

ASK_SECONDS = 30.0
FINISH_SECONDS = 150.0
RUNNING = ("O", "S")


class Run:
    """A training of `rounds` rounds by the site's first `participants` participants.

    behaviours: by a participant's number, where it is not that of a good client. ways: faults on the server's way to
    participants from the start, by their numbers.
    """

    def __init__(
        self,
        site: Site,
        *,
        participants: int = 3,
        rounds: int = ROUNDS,
        width: int = 8,
        swag: bool = False,
        method: str = "FedAvg",
        options: Mapping[str, Any] | None = None,
        behaviours: Mapping[int, Behaviour] | None = None,
        ways: Mapping[int, Fault] | None = None,
    ) -> None:
        self.site = site
        self.rounds = rounds
        self.actor = site.people[0]
        self.people = site.people[1 : participants + 1]
        content, self.start_weights = arithmetic.model_file(width)
        fields = {"name": "linear", "description": "deterministic", "type": "SWAG" if swag else "GLOBAL"}
        made = self.ask("POST", "models/", data=fields, files={"model_file": ("model.pt", content)})
        self.model = UUID(made.json()["model_id"])
        wanted = {
            "model_id": str(self.model),
            "target_num_updates": rounds,
            "metric_names": ["loss"],
            "aggregation_method": method,
            "uncertainty_method": "SWAG" if swag else "NONE",
            "options": dict(options or {}),
            "clients": [str(person.id) for person in self.people],
        }
        self.id = UUID(self.ask("POST", "trainings/", json=wanted).json()["training_id"])
        self._attend(behaviours or {}, ways or {})
        self.ask("POST", f"trainings/{self.id}/start/")

    def _attend(self, behaviours: Mapping[int, Behaviour], ways: Mapping[int, Fault]) -> None:
        for person in self.site.people:
            person.inbox.fault, person.outbox.fault = ways.get(person.number), None
            person.attend(self.id, behaviours.get(person.number))

    def ask(self, method: str, path: str, **content: Any) -> requests.Response:
        """The actor asks, until there is an answer."""
        headers = {"Authorization": f"Token {self.actor.token}", "Connection": "close"}
        deadline = time.monotonic() + ASK_SECONDS
        while True:
            try:
                url = f"{self.actor.outbox.url}/api/{path}"
                answer = requests.request(method, url, headers=headers, timeout=ASK_SECONDS, **content)
                if answer.status_code < 500:
                    assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
                    return answer
            except requests.RequestException:
                pass
            assert time.monotonic() < deadline, f"{method} {path} is not answered\n{self.site.logs()}"
            time.sleep(0.2)

    @property
    def round(self) -> int:
        """The round of the global model now."""
        return self.site.ledger.state(self.id)[2]

    @property
    def is_running(self) -> bool:
        return self.site.ledger.state(self.id)[0] in RUNNING

    def wait_for_round(self, number: int) -> None:
        """Return when the global model has come to this round."""
        self.wait_until(f"round {number}", lambda: self.round >= number)

    def wait_for_updates(self, round: int, number: int) -> None:
        """Return when so many updates of this round have arrived."""
        self.wait_until(
            f"{number} updates of round {round}",
            lambda: self.site.ledger.submissions(self.id, "update", round) >= number,
        )

    def wait_until(self, what: str, condition: Callable[[], bool], seconds: float = FINISH_SECONDS) -> None:
        """Wait; on failure say where the training stands and what the logs say."""
        try:
            wait_until(what, condition, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.about()}") from None

    def finish(self, seconds: float = FINISH_SECONDS) -> Run:
        """Return when the training is not running any more."""
        self.wait_until("the end of the training", lambda: not self.is_running, seconds)
        return self

    def check(self, *, counted: Sequence[Sequence[int]] | None = None, gone: Sequence[int] = ()) -> None:
        """The training is completed and came to what it had come to if nothing had happened.

        counted: the numbers of the participants whose updates counted, by rounds; None: everybody's, always.
        gone: the numbers of those who hear nothing any more.
        """
        everybody = [person.number for person in self.people]
        expected = [list(numbers) for numbers in counted or [everybody] * self.rounds]
        assert self.site.ledger.state(self.id) == ("C", "idle", self.rounds), self.about()
        assert self.counted() == expected, self.about()
        closed = Counter(round for kind, round, _text in self.site.ledger.events(self.id) if kind == "aggregated")
        assert closed == Counter(range(self.rounds)), self.about()
        assert arithmetic.are_bitwise_equal(self.weights(), arithmetic.simulate(self.start_weights, expected))
        for person in self.site.people[: len(self.people) + 1]:
            if person.number not in gone:
                self._check_heard(person)
        assert not self.site.missing_files()

    def _check_heard(self, person: Participant) -> None:
        attendance = person.attendance
        assert attendance.finished.wait(FINISH_SECONDS), f"{person.number} never heard of the end\n{self.about()}"
        assert attendance.failures == []

    def counted(self) -> list[list[int]]:
        """The numbers of the participants whose updates counted, by rounds."""
        numbers = {person.id: person.number for person in self.site.people}
        found = self.site.ledger.counted(self.id)
        return [sorted(numbers[person] for person in found[round]) for round in sorted(found)]

    def weights(self) -> arithmetic.Weights:
        """The global model's weights, downloaded by the actor."""
        return arithmetic.weights_of(self.ask("GET", f"models/{self.model}/").content)

    def times(self, kind: str) -> int:
        """How often the history names a kind of event."""
        return sum(event == kind for event, _round, _text in self.site.ledger.events(self.id))

    def refusals(self) -> list[str]:
        """What the server refused of the participants' requests."""
        return [text for person in self.people for text in person.attendance.refusals]

    def attendance(self, number: int) -> Attendance:
        return self.site.people[number].attendance

    def about(self) -> str:
        """Where the training stands, why, and what the logs say."""
        state, phase, number = self.site.ledger.state(self.id)
        events = self.site.ledger.events(self.id)[-12:]
        status = json.dumps(self._status(), indent=1, default=str)
        people = [f"{p.number}: {p.attendance.refusals[-3:]} {p.attendance.failures}" for p in self.site.people]
        lines = [f"state {state}, phase {phase}, round {number}", f"counted {self.counted()}", *map(str, events)]
        return "\n".join([*lines, status, *people, self.site.logs()])

    def _status(self) -> Any:
        url = f"{self.actor.outbox.url}/api/trainings/{self.id}/status/"
        try:
            headers = {"Authorization": f"Token {self.actor.token}", "Connection": "close"}
            return requests.get(url, headers=headers, timeout=10).json()
        except (requests.RequestException, ValueError) as error:
            return str(error)
