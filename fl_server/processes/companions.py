"""Whether the processes that meet in Redis belong together. Looked at once, at the start: strangers cost a warning."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError
from django.utils.crypto import salted_hmac
from redis.exceptions import RedisError

from fl_server.telemetry.saying import say

SERVER, SECRET = "fl_server.installation", "fl_server.secret"
REMEMBERED_SECONDS = 24 * 3600
OTHER_SERVER = (
    "Another server uses this database of Redis, or did within the last day: each takes the other's tasks, which then "
    "wait for a sweep. Give each server a database of Redis of its own, by the number at the end of FL_REDIS_LOCATION."
)
OTHER_KEY = (
    "Another process of this server has another secret key, or had within the last day: whoever signs in at one isn't "
    "signed in at the other. Set FL_DJANGO_SECRET_KEY to the same value for all; keep the old key of a change in "
    "FL_DJANGO_SECRET_KEY_FALLBACK."
)


def warn_of_strangers() -> None:
    """Say what is wrong with the others. Needs the database, with its migrations."""
    if settings.FL_EMBEDDED:
        return
    try:
        for sentence in _strangers():
            say(sentence, logging.WARNING)
    except (DatabaseError, RedisError):  # whoever needs them says that they are away
        return


def _strangers() -> Iterator[str]:
    # The Celery application, which imports this, is there before Django's apps are.
    from fl_server_core.models.installation import installation_id

    ours = installation_id()
    if _first(SERVER, ours) != ours:
        yield OTHER_SERVER
    key, *older = [_fingerprint(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    name = f"{SECRET}:{ours}"
    theirs = _first(name, key)
    if theirs in older:
        cache.set(name, key, timeout=REMEMBERED_SECONDS)
    elif theirs != key:
        yield OTHER_KEY


def _first(name: str, value: str) -> str:
    """What the first process to start has said, and this one if nobody has."""
    cache.add(name, value, timeout=REMEMBERED_SECONDS)
    return str(cache.get(name, value))


def _fingerprint(secret: str) -> str:
    return salted_hmac(SECRET, "fingerprint", secret=secret, algorithm="sha256").hexdigest()[:32]
