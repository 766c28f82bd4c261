"""Says whether PostgreSQL and Redis answer where the tests look for them: `python -m tests.services`."""

import os
import sys

import redis
from django.conf import settings
from django.db import OperationalError, connection


def missing_services() -> list[str]:
    """One sentence for each service that does not answer."""
    missing = []
    try:
        connection.ensure_connection()
    except OperationalError as error:
        missing.append(f"PostgreSQL does not answer: {error}")
    location = settings.FL_REDIS_LOCATION
    try:
        with redis.Redis.from_url(location, socket_connect_timeout=3) as client:
            client.ping()
    except redis.RedisError as error:
        missing.append(f"Redis does not answer at {location}: {error}")
    return missing


if __name__ == "__main__":
    os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "FL_TEST_DATABASE": "postgres"}
    sentences = missing_services()
    sys.stderr.writelines(f"{sentence}\n" for sentence in sentences)
    sys.exit(1 if sentences else 0)
