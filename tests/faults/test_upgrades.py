"""A newer version takes over from this one in the middle of a training."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import psycopg2  # type: ignore[import-untyped]  # it has no stubs
from celery import Celery
from django.db.migrations.loader import MigrationLoader
from pytest_django import Settings

from tests.builders.threads import again_and_again
from tests.builders.waiting import wait_until
from tests.core.migration_rules import breaches
from tests.faults.harness.cluster import WEBS, WORKERS, Cluster
from tests.faults.harness.newer_migrations import NEWEST
from tests.faults.harness.participant import Behaviour, Participant
from tests.faults.harness.processes import Process
from tests.faults.harness.proxy import Proxy, Request, WayLost
from tests.faults.harness.run import Run

PATIENCE = 120.0
STOP_SECONDS = 40.0
NEW_WEB = "web-new"
BEFORE, BETWEEN = 2, 4
"""Rounds that wait until the newer processes are there, and until those of this version are gone."""


@dataclass
class Account:
    """How the requests of participants fared: on a proxy, as its fault."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)

    def __call__(self, proxy: Proxy, request: Request) -> bytes:
        what = request.head.split(b"\r\n")[0].decode()
        try:
            answer = proxy.forward(request)
        except WayLost:
            self.failed.append(f"{what}: no answer")
            raise
        if answer.split(b" ")[1].startswith(b"5"):
            self.failed.append(f"{what}: {answer[:200]!r}")
        self.answered += 1
        return answer


def asking(person: Participant, account: Account) -> AbstractContextManager[None]:
    """Meanwhile somebody asks for notifications and waits for them, again and again."""
    head = f"GET /api/notifications/?wait=20 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {person.token}\r\n"
    request = Request(f"{head}Connection: close\r\n\r\n".encode(), b"")

    def ask() -> None:
        with suppress(WayLost):
            account(person.outbox, request)

    return again_and_again(ask, pause=0.05)


@contextmanager
def of_the_newer_version(cluster: Cluster) -> Iterator[dict[str, Process]]:
    """Its processes, started. At the end they and what they have done to the database are gone."""
    celery = ("-m", "celery", "-A", "fl_server")
    processes = {
        NEW_WEB: cluster.newer(NEW_WEB, "serve", "--no-migrate", "--port", "0", sign="Serving on"),
        "worker-new": cluster.newer("worker-new", *celery, "worker", "-n", "new@localhost", sign="ready."),
        "beat-new": cluster.newer("beat-new", *celery, "beat", sign=""),
    }
    try:
        for process in processes.values():
            process.start(wait=False)
        yield processes
    finally:
        for process in processes.values():
            process.kill()
        back = cluster.newer("back", "migrate", "fl_server_core", NEWEST, sign="")
        back.start()
        wait_until("the database to be as it was", lambda: not back.is_alive, PATIENCE)


def has_ended(process: Process) -> bool:
    return process.returncode is not None


def says(process: Process, words: str) -> bool:
    return words in process.output()


def migrate_twice_at_once(cluster: Cluster) -> None:
    """While a long transaction reads a table, as a dump does: the migration is taken back and tried again."""
    both = [cluster.newer(name, "migrate", sign="") for name in ("migrate-1", "migrate-2")]
    with closing(psycopg2.connect(**cluster.connection)) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM fl_server_core_event")
        for process in both:
            process.start(wait=False)
        wait_until("it to give up", lambda: any("A table is in use" in one.output() for one in both), PATIENCE)
    for process in both:
        wait_until("the migrations", partial(has_ended, process), PATIENCE)
    outputs = [process.output() for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(outputs)
    assert sorted("newer_4_index... OK" in output for output in outputs) == [False, True], outputs


def send_of_tomorrow(cluster: Cluster, run: Run) -> None:
    """Tasks that only a newer version sends, to workers of this one."""
    app = Celery("tomorrow", broker=cluster.redis_url, set_as_current=False, fixups=[])
    training = str(run.id)
    app.send_task("fl_server_ai.trainer.tasks.of_tomorrow", args=[training], queue="control")
    app.send_task("fl_server_ai.trainer.tasks.close_round", args=[training], kwargs={"why": "new"}, queue="celery")
    wait_until(
        "workers of this version to refuse them",
        lambda: all(
            any(word in cluster[name].log.read_text(errors="replace") for name in WORKERS)
            for word in ("unregistered task", "unexpected keyword argument 'why'")
        ),
        PATIENCE,
    )


def stop(processes: Sequence[Process]) -> None:
    for process in processes:
        process.stop(seconds=STOP_SECONDS)
    assert {process.name: process.returncode for process in processes} == {process.name: 0 for process in processes}


def take_over(cluster: Cluster, run: Run, newer: Mapping[str, Process], gates: Mapping[int, threading.Event]) -> None:
    """Migrate, let the newer processes begin, and stop those of this version, while the training goes on."""
    run.wait_for_round(BEFORE)
    send_of_tomorrow(cluster, run)
    for process in newer.values():
        wait_until("it to wait", partial(says, process, "newer_1_expand"), PATIENCE)
    assert not any(process.is_ready(process) for process in (newer[NEW_WEB], newer["worker-new"]))
    migrate_twice_at_once(cluster)
    for process in newer.values():
        process.start()  # until it is ready
    cluster.ports[NEW_WEB] = newer_port(newer[NEW_WEB])
    gates[BEFORE].set()
    run.wait_for_round(BETWEEN)
    for name in WEBS:  # as a load balancer does: no new requests, then the end
        del cluster.ports[name]
        stop([cluster[name]])
    stop([cluster["beat"], *(cluster[name] for name in WORKERS)])
    gates[BETWEEN].set()
    run.finish()
    run.check()


def newer_port(web: Process) -> int:
    found = re.search(r"Serving on http://127\.0\.0\.1:(\d+)/", web.output())
    assert found is not None
    return int(found[1])


def test_a_newer_version_takes_over_without_a_failed_request(cluster: Cluster) -> None:
    gates = {BEFORE: threading.Event(), BETWEEN: threading.Event()}
    held = Behaviour(before_upload=lambda number: number not in gates or gates[number].wait(PATIENCE))
    run, account, ports = Run(cluster, rounds=6, behaviours={1: held}), Account(), dict(cluster.ports)
    for person in run.people:
        person.outbox.fault = account
    try:
        with (
            of_the_newer_version(cluster) as newer,
            asking(run.people[1], account),
            asking(run.people[2], account),
        ):
            take_over(cluster, run, newer, gates)
        assert account.failed == []
        assert account.answered > 0
        assert run.times("taken_over") == 0
    finally:
        cluster.ports = ports


def test_the_newer_version_of_this_test_keeps_the_rules(settings: Settings) -> None:
    settings.MIGRATION_MODULES = {"fl_server_core": "tests.faults.harness.newer_migrations"}
    loader = MigrationLoader(None)
    for name in ("newer_1_expand", "newer_2_submission", "newer_3_delivery", "newer_4_index"):
        key = ("fl_server_core", name)
        assert breaches(loader.graph.nodes[key], loader.project_state(key, at_end=False)) == []
