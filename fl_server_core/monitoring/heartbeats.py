"""Heartbeats of workers and beat: a key in Redis for each, which expires unless it is written again.

Redis' clock alone decides who is alive, so the clocks of the machines may differ. An index that doesn't expire
remembers the names; a process that ends in order removes its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import time
from typing import Any, cast

from django.conf import settings

from fl_server_core.monitoring.quick_redis import quick_redis

EVERY_SECONDS = 1.0
LIFE_SECONDS = 3.0
"""Two heartbeats may be late, and a killed process is still missed within 5 seconds."""
REMEMBERED_SECONDS = 3600
BEAT = "beat"


@dataclass(frozen=True)
class Heartbeat:
    """name: of the process. queues: that it takes tasks from. at: its clock's seconds when it last wrote."""

    name: str
    queues: tuple[str, ...]
    at: float
    is_alive: bool


def write_heartbeat(name: str, queues: Iterable[str]) -> None:
    """Say that this process is alive. Raises RedisError."""
    with quick_redis().pipeline(transaction=False) as pipe:
        pipe.hset(_index(), name, json.dumps({"queues": sorted(queues), "at": time()}))
        pipe.set(_key(name), 1, px=int(LIFE_SECONDS * 1000))
        pipe.execute()


def remove_heartbeat(name: str) -> None:
    """Say that this process ends in order. Raises RedisError."""
    with quick_redis().pipeline(transaction=False) as pipe:
        pipe.hdel(_index(), name)
        pipe.delete(_key(name))
        pipe.execute()


def read_heartbeats() -> list[Heartbeat]:
    """The heartbeats of all processes that are alive, or fell silent within the last hour. Raises RedisError."""
    found = cast(dict[str, str], quick_redis().hgetall(_index()))
    if not found:
        return []
    names = sorted(found)
    alive = cast(list[Any], quick_redis().mget([_key(name) for name in names]))
    told = [_heartbeat(name, found[name], mark is not None) for name, mark in zip(names, alive, strict=True)]
    beats = [beat for beat in told if beat is not None]
    _forget([beat.name for beat in beats if not beat.is_alive and beat.at < time() - REMEMBERED_SECONDS])
    return beats


def _heartbeat(name: str, value: str, is_alive: bool) -> Heartbeat | None:
    """None for what no version of the server has written: whatever it is, the others are alive or not."""
    try:
        content = json.loads(value)
        return Heartbeat(name, tuple(content["queues"]), float(content["at"]), is_alive)
    except (KeyError, TypeError, ValueError):
        return None


def _forget(names: Sequence[str]) -> None:
    if names:
        quick_redis().hdel(_index(), *names)


def _index() -> str:
    # The database's name tells apart several servers on one Redis.
    return f"fl_server.heartbeats:{settings.DATABASES['default']['NAME']}"


def _key(name: str) -> str:
    return f"{_index()}:{name}"
