"""While all threads that compute are busy with one training, the others are looked after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fl_server_demo.local_server import free_port
from tests.ai.notification.listener import listening
from tests.builders.waiting import wait_until
from tests.faults.harness.cluster import WEBS, WORKERS, Cluster
from tests.faults.harness.laptop import Laptop
from tests.faults.harness.participant import Behaviour
from tests.faults.harness.run import Run
from tests.faults.harness.site import Site
from tests.watching import Watched

SLOW = '''
import os, time
from fl_server_ai.aggregation.fed_avg import MeanAggregation

class Slow(MeanAggregation):
    """The mean, once a file is there."""

    name = "Slow"
    title = "Slow mean"

    def reduce(self, block, weights):
        while not os.path.exists(os.environ["SLOW_UNTIL"]):
            time.sleep(0.05)
        return super().reduce(block, weights)
'''


class Method:
    """An aggregation method of another package, which takes as long as its test wants."""

    def __init__(self, folder: Path) -> None:
        self._until = folder / "go"
        facts = folder / "slow_method-1.0.dist-info"
        facts.mkdir()
        (folder / "slow_method.py").write_text(SLOW)
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-method\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text("[fl_server.aggregation]\nslow = slow_method:Slow\n")
        self.settings = {
            "PYTHONPATH": str(folder),
            "SLOW_UNTIL": str(self._until),
            "FL_EMBEDDED_WORKER_THREADS": "1",
        }

    def let_it_end(self) -> None:
        self._until.touch()


@contextmanager
def one_worker(cluster: Cluster, settings: dict[str, str]) -> Iterator[Site]:
    """A web process, and one worker for all queues."""
    port, ports = free_port(), cluster.ports
    web = cluster.other("web-slow", "manage.py", "serve", "--port", str(port), sign="Serving on", **settings)
    worker = cluster.other("worker-all", "-m", "fl_server_command", "worker", "all", sign="is ready", **settings)
    for name in (*WEBS, *WORKERS, "beat"):
        cluster[name].kill()
    cluster.ports = {"web-slow": port}
    try:
        web.start()
        worker.start()
        yield cluster
        watched = Watched(f"http://127.0.0.1:{port}")
        wait_until("its heartbeats alone to be left", lambda: set(watched.samples("fl_workers").values()) == {1.0})
        assert watched.is_well(), watched.readiness()
        worker.stop()
        assert worker.returncode == 0, worker.tail()
    finally:
        web.kill()
        worker.kill()
        cluster.ports = ports


@contextmanager
def laptop(settings: dict[str, str]) -> Iterator[Site]:
    site = Laptop(2, **settings)
    try:
        yield site
    finally:
        site.close()


@pytest.mark.parametrize("kind", ["worker all", "laptop"])
def test_a_deadline_a_notification_and_an_alert_do_not_wait_for_a_long_closing(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    method = Method(tmp_path)
    if kind == "laptop":
        servers = laptop(method.settings)
    else:
        servers = one_worker(request.getfixturevalue("cluster"), method.settings)
    with servers as site, listening(status=204) as webhook:
        long = Run(site, participants=2, rounds=1, method="Slow", options={"skip_model_tests": True})
        long.wait_until("the long closing to begin", lambda: site.ledger.is_claimed(long.id))
        rule = {"condition": "failed", "trainings": "own", "channel": "webhook", "url": webhook.url}
        rule_id = long.ask("POST", "users/myself/alerts/", json=rule).json()["id"]
        other = Run(
            site, participants=1, rounds=1, options={"round_deadline": 2}, behaviours={1: Behaviour(answers=False)}
        )
        attendance = other.attendance(1)
        other.wait_until("the notification", lambda: "UPDATE_ROUND_START" in attendance.types)
        other.wait_until("the deadline", lambda: site.ledger.state(other.id)[0] == "E")
        name = str(other.id).encode()
        other.wait_until("the alert", lambda: any(name in heard.content for heard in list(webhook.heard)))
        assert site.ledger.is_claimed(long.id)
        assert site.ledger.state(long.id)[0] == "O"
        method.let_it_end()
        long.finish()
        assert site.ledger.state(long.id) == ("C", "idle", 1)
        long.ask("DELETE", f"users/myself/alerts/{rule_id}/")
