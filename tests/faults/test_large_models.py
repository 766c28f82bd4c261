"""A worker killed in the middle of aggregating ten updates of 40 MB."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.builders.waiting import wait_until
from tests.faults.harness.cluster import WORKERS, Cluster
from tests.faults.harness.counting import injected
from tests.faults.harness.participant import Behaviour
from tests.faults.harness.run import Run

PEOPLE = 10
WIDTH = 3200  # of a linear layer in float32: 41 MB
ROUNDS = 3
"""Aggregating takes well under a second: it may be over before the worker is stopped. Then the next round serves."""
SECONDS = 250.0
STEPS = 200
STEP_SECONDS = 0.005


def aggregating(cluster: Cluster) -> list[str]:
    """Which workers have a file of results in the making."""
    return [name for name in WORKERS if any(_has_scratch(child, cluster.folder) for child in family(cluster, name))]


def has_result(folder: Path) -> bool:
    """Is the file of a result there, however long it is by now? Uploads under way have other names."""
    return any((folder / "tmp").glob("*.pt"))


def family(cluster: Cluster, name: str) -> list[psutil.Process]:
    process = psutil.Process(cluster[name].pid)
    return [process, *process.children(recursive=True)]


def _has_scratch(process: psutil.Process, folder: Path) -> bool:
    return any(Path(file.path).parent == folder / "tmp" for file in process.open_files())


def send(cluster: Cluster, with_signal: signal.Signals, names: Sequence[str] = WORKERS) -> None:
    for name in names:
        for process in family(cluster, name):
            process.send_signal(with_signal)


def freeze_while_aggregating(cluster: Cluster) -> str | None:
    """Stop both workers while one of them writes the result, and say which one. None: it was faster than we."""
    for _ in range(STEPS):
        # Nothing moves while we look; if it was too early, everything moves on by a step.
        send(cluster, signal.SIGSTOP)
        found = aggregating(cluster)
        if found:
            [name] = found
            return name
        send(cluster, signal.SIGCONT)
        if not has_result(cluster.folder):
            return None
        time.sleep(STEP_SECONDS)
    return None


def test_the_round_is_closed_once_after_the_lease_and_no_file_is_left(cluster: Cluster) -> None:
    cluster.wait_for_workers()
    behaviour = Behaviour(turns=threading.Semaphore(2))
    run = Run(
        cluster,
        participants=PEOPLE,
        rounds=ROUNDS,
        width=WIDTH,
        options={"skip_model_tests": True},
        behaviours=dict.fromkeys(range(1, PEOPLE + 1), behaviour),
    )
    name = None
    while name is None:
        wait_until("an aggregation", lambda: has_result(cluster.folder) or not run.is_running, SECONDS, pause=0.002)
        assert run.is_running, f"No worker could be stopped while it aggregated, in {ROUNDS} rounds."
        name = freeze_while_aggregating(cluster)
    cluster[name].kill()
    injected("worker killed while aggregating 10 × 40 MB")
    [other] = [name_of_other for name_of_other in WORKERS if name_of_other != name]
    send(cluster, signal.SIGCONT, [other])
    run.finish(SECONDS).check()
    assert run.times("taken_over") == 1
    assert cluster.inside("remove-orphans", "0") >= 1
    assert cluster.unnamed_files() == set()
