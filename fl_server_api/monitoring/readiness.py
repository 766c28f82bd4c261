"""The parts of the server: which fail, since when, and what to do about it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from time import monotonic

from django.utils import timezone

from fl_server_ai.inference.server_sandbox import sandbox_fails
from fl_server_core.monitoring.bounded import Bounded, NoAnswer
from fl_server_core.monitoring.findings import OK, Finding, Findings, failing
from fl_server_core.monitoring.heartbeats import BEAT
from fl_server_core.monitoring.stores import DATABASE, MIGRATIONS, STORAGE, look_at_database, look_at_storage
from fl_server_core.monitoring.work import BROKER, WORKERS, Work, look_at_work, work_parts
from fl_server_core.stopping import is_stopping

LOOK_SECONDS = 2.0
"""A part that hasn't answered within this time fails. With the next line: a failure is named within 5 seconds."""
REUSED_SECONDS = 1.0
SANDBOX = "sandbox"
_making = threading.Lock()
REQUIRED = (DATABASE, MIGRATIONS, STORAGE)
"""Without these, this process can do next to nothing. docs/monitoring.md says why the others aren't among them."""
SENTENCES = {
    DATABASE: "The database does not answer. Check that it runs and can be reached, and that its disk is not full.",
    MIGRATIONS: "The database is older than this server. Run: fl-server migrate",
    STORAGE: "Files can't be stored. Check that the bucket answers, and that the data folder is writable and not full.",
    BROKER: "Redis does not answer. Start it: no work is lost, and rounds wait until then.",
    BEAT: "Nobody asks for sweeps: deadlines pass unnoticed and lost work stays lost. Start: fl-server beat",
    SANDBOX: "The sandbox does not start, so inferences fail. The server's log says why.",
}
NO_WORKER = "No worker takes tasks from the queue {0}. Start: fl-server worker {0}"
UNKNOWN = "This can't be told while something else fails."


class Status(Enum):
    """How the server is. DEGRADED: it takes requests, and something else fails. STOPPING: this process was told to."""

    OK = "ok"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Part:
    """is_ok: None where it can't be told. since: when this process first saw it so. detail: for the operator only."""

    name: str
    is_ok: bool | None
    since: datetime
    detail: str = ""

    @property
    def is_required(self) -> bool:
        return self.name in REQUIRED

    @property
    def sentence(self) -> str:
        """What fails and what to do; "" for a part that works."""
        if self.is_ok:
            return ""
        if self.is_ok is None:
            return UNKNOWN
        return SENTENCES.get(self.name) or NO_WORKER.format(self.name.removeprefix(WORKERS))


@dataclass(frozen=True)
class Readiness:
    """All parts at one moment, and the state of the work; None: unknown."""

    parts: tuple[Part, ...]
    work: Work | None

    @property
    def status(self) -> Status:
        if is_stopping():  # asked anew each time: the parts may be those of a second ago
            return Status.STOPPING
        if not all(part.is_ok for part in self.parts if part.is_required):
            return Status.UNAVAILABLE
        return Status.OK if all(part.is_ok for part in self.parts) else Status.DEGRADED

    @property
    def takes_requests(self) -> bool:
        """Should a load balancer send requests here?"""
        return self.status in (Status.OK, Status.DEGRADED)

    @property
    def failing(self) -> list[str]:
        return [part.name for part in self.parts if part.is_ok is False]


class Watcher:
    """Looks at all parts side by side, at most once in `REUSED_SECONDS`, however many ask."""

    def __init__(self) -> None:
        self._database = Bounded("database", look_at_database, seconds=LOOK_SECONDS)
        self._storage = Bounded("storage", look_at_storage, seconds=LOOK_SECONDS)
        self._work = Bounded("work", look_at_work, seconds=LOOK_SECONDS)
        self._lock = threading.Lock()
        self._known: dict[str, Part] = {}
        self._last: Readiness | None = None
        self._looked_at = 0.0

    def begin(self) -> None:
        """Look for the first time, without waiting: a bucket's client takes long to make."""
        for asked in (self._database, self._storage, self._work):
            asked.ask()

    def readiness(self) -> Readiness:
        """How the parts are now, or were within the last second."""
        with self._lock:
            if self._last is None or monotonic() - self._looked_at >= REUSED_SECONDS:
                self._last = self._look()
                self._looked_at = monotonic()
            return self._last

    def _look(self) -> Readiness:
        database, storage, working = self._database.ask(), self._storage.ask(), self._work.ask()
        work: Work | None = None
        try:
            work = self._work.answer(working)
            of_work: Findings = work.findings
        except Exception as error:  # noqa: BLE001  whatever it is, this part fails, and not the probe
            of_work = _fallen(error, work_parts())
        findings = {
            **_found(self._database, database, [DATABASE, MIGRATIONS]),
            **_found(self._storage, storage, [STORAGE]),
            **of_work,
            SANDBOX: Finding(False) if sandbox_fails() else OK,
        }
        self._known = {part.name: part for part in self._parts(findings)}
        return Readiness(tuple(self._known.values()), work)

    def _parts(self, findings: Mapping[str, Finding]) -> Iterator[Part]:
        now = timezone.now()
        for name, finding in findings.items():
            known = self._known.get(name)
            since = known.since if known is not None and known.is_ok == finding.is_ok else now
            yield Part(name, finding.is_ok, since, finding.detail)


def _found(asked: Bounded[Findings], number: int, names: list[str]) -> Findings:
    try:
        return asked.answer(number)
    except Exception as error:  # noqa: BLE001  whatever it is, this part fails, and not the probe
        return _fallen(error, names)


def _fallen(error: Exception, names: list[str]) -> Findings:
    """The first of these fails; nothing is known of those that depend on it."""
    first, *others = names
    finding = Finding(False, str(error)) if isinstance(error, NoAnswer) else failing(error)
    return {first: finding, **{name: Finding(None) for name in others}}


@cache
def _made() -> Watcher:
    return Watcher()


def watcher() -> Watcher:
    """The watcher of this process. Made at the first call, which comes after any fork."""
    with _making:
        return _made()
