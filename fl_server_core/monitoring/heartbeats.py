"""How workers and beat tell that they live: a key in Redis for each, which expires unless it is written again.

Redis' clock alone decides who lives, so the clocks of the machines may differ. An index, which does not expire, holds
who there was: a process that ends in order takes its name out of it.
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
"""Two beats may be late. A process that was killed is missed within 5 seconds of it."""
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
    """This process lives. Raises RedisError."""
    with quick_redis().pipeline(transaction=False) as pipe:
        pipe.hset(_index(), name, json.dumps({"queues": sorted(queues), "at": time()}))
        pipe.set(_key(name), 1, px=int(LIFE_SECONDS * 1000))
        pipe.execute()


def remove_heartbeat(name: str) -> None:
    """This process ends, as it should. Raises RedisError."""
    with quick_redis().pipeline(transaction=False) as pipe:
        pipe.hdel(_index(), name)
        pipe.delete(_key(name))
        pipe.execute()


def read_heartbeats() -> list[Heartbeat]:
    """Of all processes that live, or fell silent in the last hour. Raises RedisError."""
    found = cast(dict[str, str], quick_redis().hgetall(_index()))
    if not found:
        return []
    names = sorted(found)
    alive = cast(list[Any], quick_redis().mget([_key(name) for name in names]))
    beats = [_heartbeat(name, found[name], mark is not None) for name, mark in zip(names, alive, strict=True)]
    _forget([beat.name for beat in beats if not beat.is_alive and beat.at < time() - REMEMBERED_SECONDS])
    return beats


def _heartbeat(name: str, value: str, is_alive: bool) -> Heartbeat:
    content = json.loads(value)
    return Heartbeat(name, tuple(content["queues"]), float(content["at"]), is_alive)


def _forget(names: Sequence[str]) -> None:
    if names:
        quick_redis().hdel(_index(), *names)


def _index() -> str:
    # Of several servers on one Redis, each has a database of its own.
    return f"fl_server.heartbeats:{settings.DATABASES['default']['NAME']}"


def _key(name: str) -> str:
    return f"{_index()}:{name}"
