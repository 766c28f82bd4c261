"""What is made of looks at the parts: states, since when, and how often anybody looks."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from fl_server_api.monitoring import readiness
from fl_server_api.monitoring.readiness import Status, Watcher
from fl_server_core.monitoring.findings import OK, Finding, Findings
from fl_server_core.monitoring.work import Work, work_parts
from fl_server_core.stopping import begin_to_stop, forget

GUARD = 30.0


class Parts:
    """The parts as a test wants them. `looks`: how often each was looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database: Findings | Exception = {"database": OK, "migrations": OK}
        self.storage: Findings | Exception = {"storage": OK}
        self.work: Findings | Exception = dict.fromkeys(work_parts(), OK)
        self.looks: Counter[str] = Counter()
        monkeypatch.setattr(readiness, "look_at_database", lambda: self._look("database"))
        monkeypatch.setattr(readiness, "look_at_storage", lambda: self._look("storage"))
        monkeypatch.setattr(readiness, "look_at_work", lambda: Work(self._look("work"), {}, {}))
        monkeypatch.setattr(readiness, "sandbox_fails", lambda: False)
        monkeypatch.setattr(readiness, "REUSED_SECONDS", 0.0)
        self.watcher = Watcher()

    def _look(self, name: str) -> Findings:
        self.looks[name] += 1
        found: Findings | Exception = getattr(self, name)
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    return Parts(monkeypatch)


def test_the_status_is_that_of_the_worst_part(parts: Parts) -> None:
    assert parts.watcher.readiness().status is Status.OK
    parts.work = {**dict.fromkeys(work_parts(), OK), "beat": Finding(False)}
    assert (parts.watcher.readiness().status, parts.watcher.readiness().failing) == (Status.DEGRADED, ["beat"])
    parts.database = {"database": OK, "migrations": Finding(False, "Not applied: fl_server_core.0099")}
    found = parts.watcher.readiness()
    assert (found.status, found.failing) == (Status.UNAVAILABLE, ["migrations", "beat"])


def test_a_process_that_was_told_to_end_wants_no_more_requests(parts: Parts) -> None:
    found = parts.watcher.readiness()
    assert (found.status, found.takes_requests) == (Status.OK, True)
    begin_to_stop(GUARD)
    try:
        assert (found.status, found.takes_requests, found.failing) == (Status.STOPPING, False, [])
    finally:
        forget()


def test_what_raises_fails_and_what_hangs_on_it_is_unknown(parts: Parts) -> None:
    parts.database, parts.work = ValueError("a secret address"), KeyError("celery")
    found = {part.name: part for part in parts.watcher.readiness().parts}
    assert (found["database"].is_ok, found["migrations"].is_ok) == (False, None)
    assert found["database"].detail == "ValueError: a secret address"
    assert "secret" not in found["database"].sentence
    assert (found["broker"].is_ok, found["beat"].is_ok, found["workers.control"].is_ok) == (False, None, None)
    assert parts.watcher.readiness().work is None


def test_each_part_that_fails_says_what_to_do(parts: Parts) -> None:
    parts.database = {name: Finding(False) for name in ("database", "migrations")}
    parts.storage = {"storage": Finding(False)}
    parts.work = {part: Finding(False) for part in work_parts()}
    sentences = {part.name: part.sentence for part in parts.watcher.readiness().parts if part.is_ok is False}
    assert len(set(sentences.values())) == len(sentences) == 8
    assert sentences["workers.control"].endswith("Start: fl-server worker control")


def test_since_stays_until_the_state_changes(parts: Parts) -> None:
    def since(name: str) -> object:
        return next(part.since for part in parts.watcher.readiness().parts if part.name == name)

    first, other = since("storage"), since("database")
    assert since("storage") == first
    parts.storage = {"storage": Finding(False, "gone")}
    failed = since("storage")
    parts.storage = {"storage": Finding(False, "gone, in other words")}
    assert since("storage") == failed != first
    parts.storage = {"storage": OK}
    assert since("storage") not in (first, failed)
    assert since("database") == other


def test_however_many_ask_the_parts_are_looked_at_once(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "REUSED_SECONDS", GUARD)
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _number: id(parts.watcher.readiness()), range(200)))
    assert (len(found), dict(parts.looks)) == (1, {"database": 1, "storage": 1, "work": 1})


def test_a_part_that_hangs_fails_and_keeps_no_other_from_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LOOK_SECONDS", 0.2)
    parts, goes_on = Parts(monkeypatch), threading.Event()
    monkeypatch.setattr(readiness, "look_at_storage", lambda: goes_on.wait(GUARD) and {"storage": OK})
    watcher = Watcher()
    try:
        assert [watcher.readiness().failing for _ in range(3)] == [["storage"]] * 3
        assert parts.looks["database"] == 3
    finally:
        goes_on.set()
