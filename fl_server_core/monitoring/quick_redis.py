"""A connection to Redis for those who can't wait."""

from __future__ import annotations

from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

SECONDS = 1.0


@cache
def quick_redis() -> redis.Redis:
    """One connection pool a process. A command fails after a second, and is not tried again."""
    return redis.Redis.from_url(
        settings.FL_REDIS_LOCATION,
        socket_connect_timeout=SECONDS,
        socket_timeout=SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
