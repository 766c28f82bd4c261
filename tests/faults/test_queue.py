"""Tasks that run more than once."""

from __future__ import annotations

from tests.faults.harness.cluster import Cluster
from tests.faults.harness.queue import repeated_tasks
from tests.faults.harness.run import Run


def test_every_task_may_run_several_times_and_at_once(cluster: Cluster) -> None:
    run = Run(cluster)
    with repeated_tasks(cluster, run.id):
        run.finish()
    run.check()
    assert run.refusals() == []
    assert run.attendance(1).types.count("UPDATE_ROUND_START") == run.rounds
    assert run.attendance(1).types.count("TRAINING_FINISHED") == 1
