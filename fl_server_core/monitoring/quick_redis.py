"""A connection to Redis that gives up quickly."""

from __future__ import annotations

from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

SECONDS = 1.0


@cache
def quick_redis() -> redis.Redis:
    """One connection pool for each process. A command fails after a second and isn't repeated."""
    return redis.Redis.from_url(
        settings.FL_REDIS_LOCATION,
        socket_connect_timeout=SECONDS,
        socket_timeout=SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
