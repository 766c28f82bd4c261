"""`fl-server worker all`, a process of its own, on PostgreSQL and Redis."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from celery import Celery
from django.db import connection
from pytest_django import Settings

from tests.builders.waiting import wait_until
from tests.server_process import REPOSITORY, server_environment

pytestmark = [
    pytest.mark.skipif(os.environ.get("FL_TEST_DATABASE") != "postgres", reason="takes Redis: runs in the second pass"),
    pytest.mark.django_db(transaction=True),
]
QUEUES = ("celery", "control", "notifications")
TASKS = {"celery": "close_round", "control": "process_trainer_task"}
"""Of a training that doesn't exist, each takes a moment."""
FLOOD = 200
GUARD_SECONDS = 120.0
"""A worker that looked for two tasks every two seconds would need 200 seconds for the flood of a queue."""


@pytest.fixture
def broker(settings: Settings) -> Iterator[redis.Redis]:
    """An empty Redis, also afterwards: in it, servers remember the folder of their files."""
    with redis.Redis.from_url(settings.FL_REDIS_LOCATION) as client:
        client.flushdb()
        yield client
        client.flushdb()


def test_full_queues_are_emptied(broker: redis.Redis, settings: Settings, tmp_path: Path) -> None:
    flood(settings.FL_REDIS_LOCATION)
    assert [broker.llen(queue) for queue in TASKS] == [FLOOD, FLOOD]
    log = tmp_path / "worker.log"
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [sys.executable, "-m", "fl_server_command", "worker", "all"],
            cwd=REPOSITORY,
            env=environment(settings, tmp_path / "var"),
            stdout=file,
            stderr=file,
        )
    try:
        wait_until("the worker to start", lambda: "is ready" in log.read_text() or worker.poll() is not None)
        assert worker.poll() is None, log.read_text()
        left = [*QUEUES, "unacked"]
        wait_until("its tasks to be done", lambda: not broker.exists(*left), GUARD_SECONDS)
        worker.terminate()
        assert worker.wait(60) == 0, log.read_text()
    finally:
        worker.kill()
        worker.wait()


def flood(broker_url: str) -> None:
    app = Celery("flood", broker=broker_url, set_as_current=False, fixups=[])
    for queue, task in [*TASKS.items()] * FLOOD:
        app.send_task(f"fl_server_ai.trainer.tasks.{task}", args=[str(uuid4())], queue=queue)
    app.close()


def environment(settings: Settings, data: Path) -> dict[str, str]:
    database = connection.settings_dict
    return server_environment(data) | {
        "DJANGO_SETTINGS_MODULE": "fl_server.settings.development",
        "FL_POSTGRES_HOST": database["HOST"],
        "FL_POSTGRES_PORT": str(database["PORT"]),
        "FL_POSTGRES_USER": database["USER"],
        "FL_POSTGRES_PASSWD": database["PASSWORD"],
        "FL_POSTGRES_DBNAME": database["NAME"],
        "FL_REDIS_LOCATION": settings.FL_REDIS_LOCATION,
        "FL_SHARED_FILES": "true",
        "FL_EMBEDDED_WORKER_THREADS": "2",
        "FL_SWEEP_SECONDS": "3600",
    }
