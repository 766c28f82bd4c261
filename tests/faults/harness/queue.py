"""Messages of the queue, repeated: what an at-least-once broker may do at its worst."""

from __future__ import annotations

from contextlib import AbstractContextManager
from uuid import UUID

from celery import Celery

from tests.builders.threads import again_and_again
from tests.faults.harness.cluster import Cluster
from tests.faults.harness.counting import injected

PAUSE_SECONDS = 0.1
COPIES = 3


class Repeater:
    """Sends the tasks of a training again: looks at it, and copies of the task of each new notification."""

    def __init__(self, cluster: Cluster, training: UUID) -> None:
        self._ledger = cluster.ledger
        self._training = training
        self._app = Celery("repeater", broker=cluster.redis_url, set_as_current=False, fixups=[])
        self._seen: set[int] = set()

    def send(self) -> None:
        """Repeat what is new. Needs PostgreSQL and Redis."""
        new = set(self._ledger.deliveries(self._training)) - self._seen
        self._seen |= new
        for _ in range(COPIES):
            self._send("fl_server_ai.trainer.tasks.process_trainer_task", str(self._training), "control")
            self._send("fl_server_ai.trainer.tasks.close_round", str(self._training), "celery")
            for delivery in sorted(new):
                self._send("fl_server_ai.notification.tasks.deliver", delivery, "notifications")

    def _send(self, task: str, argument: object, queue: str) -> None:
        self._app.send_task(task, args=[argument], queue=queue)
        injected("task repeated")


def repeated_tasks(cluster: Cluster, training: UUID) -> AbstractContextManager[None]:
    """Meanwhile every task of a training runs several times."""
    return again_and_again(Repeater(cluster, training).send, pause=PAUSE_SECONDS)
