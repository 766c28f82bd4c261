"""Workers tell that they live, each for itself."""

from __future__ import annotations

import os
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.conf import settings

from fl_server.telemetry.pulse import PulseStep
from fl_server_core.monitoring.heartbeats import read_heartbeats
from tests.builders.waiting import wait_until


def consumer(queue: str) -> Any:
    queues = SimpleNamespace(consume_from={queue: None})
    return SimpleNamespace(
        hostname="celery@clinic", app=SimpleNamespace(amqp=SimpleNamespace(queues=queues)), timer=Mock()
    )


def living() -> dict[str, tuple[str, ...]]:
    return {beat.name: beat.queues for beat in read_heartbeats() if beat.is_alive and "@clinic" in beat.name}


@pytest.mark.skipif(settings.FL_EMBEDDED, reason="Redis is beside PostgreSQL: run in that pass")
def test_workers_of_one_machine_do_not_write_over_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery gives all of them the same name: readiness named a queue without a worker, now this, now that one."""
    steps = []
    try:
        for pid, queue in ((11, "celery"), (12, "notifications"), (13, "control")):
            monkeypatch.setattr(os, "getpid", partial(int, pid))
            steps.append((PulseStep(consumer(queue)), consumer(queue)))
            steps[-1][0].start(steps[-1][1])
        wait_until("three heartbeats", lambda: len(living()) == 3)
        assert sorted(living().values()) == [("celery",), ("control",), ("notifications",)]
        step, its = steps.pop()
        step.stop(its)
        assert sorted(living().values()) == [("celery",), ("notifications",)]
    finally:
        for step, its in steps:
            step.stop(its)
