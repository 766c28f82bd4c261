"""Says whether PostgreSQL and Redis answer where the tests look for them: `python -m tests.services`."""

import os
import sys

import psycopg2
import redis


def missing_services() -> list[str]:
    """One sentence for each service that does not answer."""
    missing = []
    host = os.environ.get("TEST_POSTGRES_HOST", "127.0.0.1")
    try:
        psycopg2.connect(
            host=host,
            port=os.environ.get("TEST_POSTGRES_PORT", "5432"),
            user=os.environ.get("TEST_POSTGRES_USER", "postgres"),
            password=os.environ.get("TEST_POSTGRES_PASSWD", ""),
            dbname=os.environ.get("TEST_POSTGRES_DBNAME", "postgres"),
            connect_timeout=3,
        ).close()
    except psycopg2.OperationalError as error:
        missing.append(f"PostgreSQL does not answer at {host}: {str(error).strip()}")
    location = os.environ.get("TEST_REDIS_LOCATION", "redis://127.0.0.1:6379/15")
    try:
        with redis.Redis.from_url(location, socket_connect_timeout=3) as client:
            client.ping()
    except redis.RedisError as error:
        missing.append(f"Redis does not answer at {location}: {error}")
    return missing


if __name__ == "__main__":
    sentences = missing_services()
    sys.stderr.writelines(f"{sentence}\n" for sentence in sentences)
    sys.exit(1 if sentences else 0)
