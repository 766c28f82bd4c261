"""Processes killed by SIGKILL in the middle of their work: PostgreSQL, Redis, two workers, two web processes, beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import psutil
import pytest
import redis

from tests.faults.harness.cluster import WORKERS, Cluster
from tests.faults.harness.counting import injected
from tests.faults.harness.mode import IS_LONG
from tests.faults.harness.proxy import StalledUpload
from tests.faults.harness.run import Run

ONLY_FINAL_TEST = {"model_test_after_each_round": False}


def hold_up_round(run: Run, number: int) -> StalledUpload:
    """Wait until all updates of a round have arrived but one, which stands still in the middle of its upload."""
    run.wait_for_round(number - 1)
    stalled = StalledUpload()
    run.people[0].outbox.fault = stalled
    stalled.wait()
    run.wait_for_updates(run.round, len(run.people) - 1)
    return stalled


def test_a_worker_killed_while_it_closes_a_round_is_replaced_by_another(cluster: Cluster) -> None:
    run = Run(cluster, options=ONLY_FINAL_TEST)
    rounds = (2, 4, 6) if IS_LONG else (2, 4)
    for number in rounds:
        run.wait_for_round(number)
        with cluster.held_closing() as wait_for_holder:
            name = wait_for_holder().name
            cluster[name].kill()
            injected("worker killed while closing a round")
        cluster[name].start(wait=False)
    run.finish().check()
    assert run.times("taken_over") == len(rounds)


def test_a_child_of_a_worker_killed_while_it_closes_a_round_is_replaced(cluster: Cluster) -> None:
    run = Run(cluster, options=ONLY_FINAL_TEST)
    run.wait_for_round(3)
    with cluster.held_closing() as wait_for_holder:
        holder = wait_for_holder()
        [child] = [
            child
            for child in psutil.Process(cluster[holder.name].pid).children()
            if holder.port in {connection.laddr.port for connection in child.net_connections("tcp")}
        ]
        child.kill()
        injected("child of a worker killed while closing a round")
    run.finish().check()
    assert run.times("taken_over") == 1


def test_a_web_process_killed_during_an_upload_costs_a_repeat(cluster: Cluster) -> None:
    run = Run(cluster, options=ONLY_FINAL_TEST)
    for number in (2, 5):
        stalled = hold_up_round(run, number)
        [web] = [name for name, port in cluster.ports.items() if stalled.target == ("127.0.0.1", port)]
        cluster[web].kill()
        injected("web process killed during an upload")
        stalled.go_on.set()
        cluster[web].start(wait=False)
    run.finish().check()
    assert run.refusals() == []


def test_a_nudge_that_is_lost_while_beat_is_dead_is_made_up_for_when_beat_is_back(cluster: Cluster) -> None:
    run = Run(cluster, options=ONLY_FINAL_TEST)
    stalled = hold_up_round(run, 3)
    round = run.round
    for name in ("beat", *WORKERS):
        cluster[name].kill()
    injected("beat killed")
    injected("worker killed", 2)
    with redis.Redis.from_url(cluster.redis_url) as broker:
        before = broker.llen("celery")
        stalled.go_on.set()
        run.wait_for_updates(round, len(run.people))
        # The update is there before its nudge is.
        run.wait_until("the nudge to be in the queue", lambda: cast(int, broker.llen("celery")) > cast(int, before))
        broker.flushall()
    injected("queue lost")
    for name in WORKERS:
        cluster[name].start()
    assert run.round == round
    cluster["beat"].start()
    run.finish().check()


def test_uploads_are_taken_while_redis_is_gone_and_the_round_closes_when_it_is_back_empty(cluster: Cluster) -> None:
    run = Run(cluster, options=ONLY_FINAL_TEST)
    for number in (2, 5):
        stalled = hold_up_round(run, number)
        round = run.round
        cluster["redis"].kill()
        injected("Redis killed")
        stalled.go_on.set()
        run.wait_for_updates(round, len(run.people))
        cluster["redis"].start()
    run.finish().check()
    assert run.refusals() == []


def test_a_worker_outlives_a_broker_that_goes_while_it_closes_a_round(cluster: Cluster) -> None:
    cluster.wait_for_workers()
    run = Run(cluster, options=ONLY_FINAL_TEST)
    for number in (2, 4, 6):
        run.wait_for_round(number)
        with cluster.held_closing() as wait_for_holder:
            wait_for_holder()
            cluster["redis"].kill()
            injected("Redis killed")
            cluster["redis"].start()
    run.finish().check()
    assert all(cluster[name].is_alive for name in WORKERS)


def restart_during_upload(run: Run, cluster: Cluster) -> None:
    stalled = hold_up_round(run, 3)
    cluster.restart_postgres()
    stalled.go_on.set()


def restart_during_closing(run: Run, cluster: Cluster) -> None:
    run.wait_for_round(3)
    with cluster.held_closing() as wait_for_holder:
        wait_for_holder()
        cluster.restart_postgres()


@pytest.mark.parametrize("restart", [restart_during_upload, restart_during_closing])
def test_a_restart_of_postgresql_loses_nothing(cluster: Cluster, restart: Callable[[Run, Cluster], None]) -> None:
    run = Run(cluster, options=ONLY_FINAL_TEST)
    restart(run, cluster)
    injected("PostgreSQL restarted")
    run.finish().check()
