"""What /readyz and /metrics say while one part after another fails, and when it is back."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import time
from typing import cast

import httpx
import psutil
import psycopg2  # type: ignore[import-untyped]  # it has no stubs
import redis
from celery import Celery

from fl_server_core.monitoring.heartbeats import LIFE_SECONDS
from fl_server_demo.local_server import free_port
from tests.builders.waiting import wait_until
from tests.faults.harness.cluster import WORKERS, Cluster
from tests.faults.harness.counting import injected, note
from tests.faults.harness.processes import Process
from tests.promtool import check_alerts
from tests.server_process import REPOSITORY
from tests.watching import WATCHED, Watched

NAMED_WITHIN = 5.0
WEB_THREADS = 16
ALL_WORKERS = ["workers.celery", "workers.notifications", "workers.control"]
Scrapes = dict[str, tuple[dict[str, float], set[str]]]


class Patrol:
    """Breaks one part after another. `scrapes`: the figures of each time, with the alerts that they should give."""

    def __init__(self, cluster: Cluster) -> None:
        self.watched = Watched(f"http://127.0.0.1:{cluster.ports['web-1']}")
        self.scrapes: Scrapes = {}

    @contextmanager
    def names(self, parts: list[str], *, status: int, alerts: set[str]) -> Iterator[Callable[[], None]]:
        """The block breaks these parts, calls what it is given, which waits until they are named, and mends them."""
        self.wait_until_well()

        def look() -> None:
            fault = f"{', '.join(parts)} ({len(self.scrapes)})"
            wait_until(f"{fault} to be named", lambda: self.watched.failing() == parts, NAMED_WITHIN)
            answer = self.watched.get("/readyz")
            assert answer.status_code == status
            assert all(answer.json()["parts"][part]["message"] for part in parts)
            self.scrapes[fault] = (self.watched.samples(*WATCHED), alerts)
            injected("part broken")

        yield look
        self.wait_until_well()

    def wait_until_well(self) -> None:
        wait_until("all parts to be well", self.watched.is_well)


def test_each_part_that_fails_is_named_and_alerted_of_and_seen_to_come_back(cluster: Cluster, tmp_path: Path) -> None:
    cluster.wait_for_workers()
    patrol = Patrol(cluster)
    patrol.wait_until_well()
    patrol.scrapes["nothing"] = (patrol.watched.samples(*WATCHED), set())

    with patrol.names(
        ["database"], status=503, alerts={"FLDatabaseFailing", "FLServerNotReady", "FLFiguresMissing"}
    ) as look:
        cluster["postgres"].stop(signal.SIGQUIT)
        look()
        cluster["postgres"].start()
    _break_storage(cluster, patrol)
    with patrol.names(["broker"], status=200, alerts={"FLBrokerFailing"}) as look:
        cluster["redis"].kill()
        look()
        assert patrol.watched.get("/readyz?strict").status_code == 503
        cluster["redis"].start()
    with patrol.names(ALL_WORKERS, status=200, alerts={"FLWorkersMissing"}) as look:
        cluster[WORKERS[0]].kill()
        wait_until("one less", lambda: patrol.watched.value("fl_workers", queue="celery") == 1, NAMED_WITHIN)
        assert patrol.watched.is_well()
        cluster[WORKERS[1]].kill()
        look()
        for name in WORKERS:
            cluster[name].start()
    with patrol.names(["beat"], status=200, alerts={"FLBeatMissing"}) as look:
        cluster["beat"].kill()
        look()
        cluster["beat"].start()
    note(f"Parts broken and named by /readyz within {NAMED_WITHIN:g} s: {len(patrol.scrapes) - 1}.")
    check_alerts(tmp_path, patrol.scrapes)


def _break_storage(cluster: Cluster, patrol: Patrol) -> None:
    """The folder goes; then an empty one stands in its place, as where a volume is not mounted."""
    files, away = cluster.folder / "files", cluster.folder / "away"
    for stands_in in (False, True):
        with patrol.names(["storage"], status=503, alerts={"FLStorageFailing", "FLServerNotReady"}) as look:
            files.rename(away)
            if stands_in:
                files.mkdir()
            look()
            if stands_in:
                files.rmdir()
            away.rename(files)


def test_what_hangs_is_named_while_every_thread_of_the_server_waits_for_it(cluster: Cluster) -> None:
    patrol = Patrol(cluster)
    patrol.wait_until_well()
    login = {"Authorization": "Token unknown"}
    with ThreadPoolExecutor(2 * WEB_THREADS) as threads:
        with _suspended(cluster["redis"]):
            wait_until("the broker to be named", lambda: patrol.watched.failing() == ["broker"], NAMED_WITHIN)
        patrol.wait_until_well()
        with _suspended(cluster["postgres"]):
            asked = [threads.submit(patrol.watched.get, "/api/models/", **login) for _ in range(2 * WEB_THREADS)]
            wait_until("the database to be named", lambda: patrol.watched.failing() == ["database"], NAMED_WITHIN)
            assert patrol.watched.get("/livez").status_code == 200
            assert patrol.watched.value("fl_part_up", part="database") == 0
        for one in asked:
            with suppress(httpx.TimeoutException):
                one.result()
        patrol.wait_until_well()


def test_a_worker_counts_as_alive_while_all_of_its_processes_are_at_work(cluster: Cluster) -> None:
    patrol = Patrol(cluster)
    patrol.wait_until_well()
    app = Celery("busy", broker=cluster.redis_url, set_as_current=False, fixups=[])
    blocked = "SELECT count(*) FROM pg_locks WHERE relation = 'django_session'::regclass AND NOT granted"
    with closing(psycopg2.connect(**cluster.connection)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")
        for _ in range(4):  # two workers of two processes each
            app.send_task("fl_server_ai.trainer.tasks.purge", queue="celery")
        wait_until("all processes to be at work", lambda: cluster.ledger.database.rows(blocked)[0][0] == 4)
        before = _written(cluster)
        assert len(before) == len(WORKERS)

        def is_older_run_out() -> bool:
            return all(at > before[name] + LIFE_SECONDS for name, at in _written(cluster).items())

        wait_until("heartbeats of workers that are at work", is_older_run_out)
        assert patrol.watched.readiness()["failing"] == []
        assert cluster.ledger.database.rows(blocked)[0][0] == 4
        connection.rollback()


def test_several_processes_on_one_address_count_together(cluster: Cluster) -> None:
    port = free_port()
    web = Process(
        "web-of-two",
        [sys.executable, "manage.py", "serve", "--port", str(port), "--workers", "2"],
        folder=cluster.root,
        environment=cluster.environment,
        directory=REPOSITORY,
        is_ready=lambda process: "Serving on" in process.output(),
    )
    web.start()
    try:
        watched = Watched(f"http://127.0.0.1:{port}")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(watched.get, ["/api/models/"] * 40))
        assert [_counted(watched) for _ in range(8)] == [40.0] * 8
        victim, *_others = psutil.Process(web.pid).children()
        victim.kill()
        wait_until("another process", lambda: victim not in psutil.Process(web.pid).children())
        assert {_counted(watched) for _ in range(4)} == {40.0}
    finally:
        web.stop()


def _written(cluster: Cluster) -> dict[str, float]:
    """When each worker last told that it lives, in seconds of its clock."""
    with closing(redis.Redis.from_url(cluster.redis_url, decode_responses=True)) as connection:
        found = cast(dict[str, str], connection.hgetall("fl_server.heartbeats:postgres"))
    beats = {name: json.loads(value)["at"] for name, value in found.items() if name.startswith("worker-")}
    return {name: at for name, at in beats.items() if at > time() - LIFE_SECONDS}  # others were killed


def _counted(watched: Watched) -> float | None:
    return watched.value("fl_http_requests_total", route="api/models/", status="401")


@contextmanager
def _suspended(process: Process) -> Iterator[None]:
    """Neither it nor its children run: who is connected waits."""
    first = psutil.Process(process.pid)
    stopped = [first, *first.children(recursive=True)]
    for one in stopped:
        with suppress(psutil.NoSuchProcess):
            one.suspend()
    injected("part suspended")
    try:
        yield
    finally:
        for one in stopped:
            with suppress(psutil.NoSuchProcess):
                one.resume()
