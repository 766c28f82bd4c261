"""The broker, the workers of each queue, and the clock that asks for sweeps: in other processes, or in this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from celery import current_app
from django.conf import settings
from redis.exceptions import RedisError

from fl_server_core.monitoring.findings import OK, Finding, Findings, failing
from fl_server_core.monitoring.heartbeats import BEAT, Heartbeat, read_heartbeats
from fl_server_core.monitoring.quick_redis import quick_redis

BROKER = "broker"
WORKERS = "workers."
"""The parts of workers: this, and the name of a queue."""
UNACKNOWLEDGED = "unacked"
"""The broker's key with the messages that workers have taken and not yet finished."""


@dataclass
class _Embedded:
    """The workers inside this process: whether each is alive, by queue, and `BEAT`. None: none were started here."""

    alive: Callable[[], Mapping[str, bool]] | None = None


embedded = _Embedded()


@dataclass(frozen=True)
class Work:
    """depths: messages that wait, by queue. taken: messages being worked on. workers: how many, by queue."""

    findings: Findings
    depths: Mapping[str, int]
    workers: Mapping[str, int]
    taken: int = 0


def queues() -> list[str]:
    """The names of all queues."""
    return [queue.name for queue in settings.CELERY_TASK_QUEUES]


def work_parts() -> list[str]:
    """The names of the parts that `look_at_work` finds something about; all depend on the first."""
    return [BROKER, *(WORKERS + queue for queue in queues()), BEAT]


def look_at_work() -> Work:
    """Does the broker answer, does each queue have a worker, and is the clock running?"""
    return _look_here() if settings.FL_EMBEDDED else _look_through_redis()


def _look_here() -> Work:
    alive = embedded.alive() if embedded.alive else {}
    detail = "" if embedded.alive else "No worker was started in this process. Start the server by `fl-server serve`."
    findings = {WORKERS + queue: Finding(alive.get(queue, False), detail) for queue in queues()}
    workers = {queue: int(alive.get(queue, False)) for queue in queues()}
    with current_app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        depths = {queue: int(channel._size(queue)) for queue in queues()}
    return Work({BROKER: OK, **findings, BEAT: Finding(alive.get(BEAT, False), detail)}, depths, workers)


def _look_through_redis() -> Work:
    try:
        with quick_redis().pipeline(transaction=False) as pipe:
            for queue in queues():
                pipe.llen(queue)
            pipe.hlen(UNACKNOWLEDGED)
            *depths, taken = cast(list[int], pipe.execute())
        beats = read_heartbeats()
    except RedisError as error:
        unknown = {part: Finding(None) for part in work_parts()}
        return Work({**unknown, BROKER: failing(error)}, {}, {})
    workers = {queue: sum(beat.is_alive and queue in beat.queues for beat in beats) for queue in queues()}
    findings = {WORKERS + queue: _somebody(beat for beat in beats if queue in beat.queues) for queue in queues()}
    clock = _somebody(beat for beat in beats if beat.name.startswith(f"{BEAT}@"))
    return Work({BROKER: OK, **findings, BEAT: clock}, dict(zip(queues(), depths, strict=True)), workers, taken)


def _somebody(beats: Iterable[Heartbeat]) -> Finding:
    found = list(beats)
    if any(beat.is_alive for beat in found):
        return OK
    silent = ", ".join(beat.name for beat in found)
    return Finding(False, f"Silent: {silent}." if silent else "None has started since Redis did, or all were stopped.")
