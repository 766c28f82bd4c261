"""A server with everything that belongs to it: embedded, or many processes around PostgreSQL and Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2  # type: ignore[import-untyped]  # it has no stubs
import redis
from django.conf import settings

from tests.faults.harness.ledger import Ledger, PostgresDatabase, SqliteDatabase
from tests.faults.harness.processes import Process
from tests.server_process import REPOSITORY, ServerProcess, server_environment
from tests.workers import REDIS_NUMBERS, redis_locations

WORKERS = 2
OWNER = "fl-server-e2e-owner"


@dataclass(frozen=True)
class Account:
    id: str
    token: str


@dataclass(frozen=True)
class Site:
    """A running server: where it listens, its settings, and its database read past it."""

    url: str
    environment: dict[str, str]
    ledger: Ledger
    name: str

    def make_users(self, endpoints: Sequence[str]) -> list[Account]:
        """Users with these endpoints, straight in the database: hundreds of passwords would take minutes to hash."""
        batch = uuid4().hex[:8]
        wanted = [
            {"id": str(uuid4()), "username": f"{batch}-{number}", "message_endpoint": endpoint}
            for number, endpoint in enumerate(endpoints)
        ]
        made = subprocess.run(
            [sys.executable, "-m", "tests.faults.harness.inside", "make-users", json.dumps(wanted)],
            cwd=REPOSITORY,
            env={"DJANGO_SETTINGS_MODULE": "fl_server.settings.development", **self.environment},
            capture_output=True,
            check=True,
            timeout=120,
        )
        tokens = json.loads(made.stdout)
        return [Account(str(user["id"]), token) for user, token in zip(wanted, tokens, strict=True)]


@contextmanager
def embedded(
    folder: Path, port: int = 0, *, environment: dict[str, str] | None = None
) -> Iterator[tuple[Site, ServerProcess]]:
    """One process, SQLite; `environment` is set on top of the server's own."""
    data = folder / "var"
    with ServerProcess(data, "--port", str(port), environment=environment) as server:
        ledger = Ledger(SqliteDatabase(data / "db.sqlite3"))
        yield Site(server.base_url, server_environment(data), ledger, "SQLite, embedded worker"), server
        if server.process.poll() is None:
            server.stop()


@contextmanager
def distributed(folder: Path, *, web_processes: int = 1) -> Iterator[Site]:
    """Web processes, two Celery workers and beat, on a database of PostgreSQL and one of Redis of their own."""
    data = folder / "var"
    with ExitStack() as stack:
        connection = stack.enter_context(fresh_database())
        environment = server_environment(data) | {
            "DJANGO_SETTINGS_MODULE": "fl_server.settings.development",
            "FL_POSTGRES_HOST": connection["host"],
            "FL_POSTGRES_PORT": str(connection["port"]),
            "FL_POSTGRES_USER": connection["user"],
            "FL_POSTGRES_PASSWD": connection["password"],
            "FL_POSTGRES_DBNAME": connection["dbname"],
            "FL_REDIS_LOCATION": stack.enter_context(own_redis_database()),
            "FL_SHARED_FILES": "true",
            "FL_WEB_WORKERS": str(web_processes),
            "CELERY_LOG_LEVEL": "INFO",
        }
        # The web process migrates: the others come after it.
        server = stack.enter_context(ServerProcess(data, environment=environment))
        for process in _celery_processes(folder, environment):
            stack.callback(process.stop)
            process.start(wait=False)
        ledger = Ledger(PostgresDatabase(connection))
        yield Site(server.base_url, environment, ledger, f"PostgreSQL, {WORKERS} Celery workers")
        server.stop()


def _celery_processes(folder: Path, environment: dict[str, str]) -> list[Process]:
    celery = [sys.executable, "-m", "celery", "-A", "fl_server"]
    commands = {
        f"worker-{number}": [*celery, "worker", "-n", f"worker-{number}@localhost", "--concurrency", "2"]
        for number in range(WORKERS)
    }
    commands["beat"] = [*celery, "beat"]
    return [
        Process(
            name,
            command,
            folder=folder,
            environment=environment,
            directory=REPOSITORY,
            is_ready=lambda process: "ready." in process.output(),
        )
        for name, command in commands.items()
    ]


@contextmanager
def fresh_database() -> Iterator[dict[str, Any]]:
    """The parameters of a connection to a database that is dropped at the end."""
    server = settings.DATABASES["default"]
    parameters = {
        "host": server["HOST"],
        "port": server["PORT"],
        "user": server["USER"],
        "password": server["PASSWORD"],
        "dbname": f"fl_e2e_{uuid4().hex[:12]}",
    }
    execute(parameters, f"CREATE DATABASE {parameters['dbname']}")
    try:
        yield parameters
    finally:
        execute(parameters, f"DROP DATABASE {parameters['dbname']} WITH (FORCE)")


def execute(parameters: dict[str, Any], statement: str) -> None:
    with closing(psycopg2.connect(**(parameters | {"dbname": "postgres"}))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


@contextmanager
def own_redis_database() -> Iterator[str]:
    """The location of an empty database of Redis that nobody else has claimed; emptied at the end."""
    base = settings.FL_REDIS_LOCATION.rpartition("/")[0]
    every = [f"{base}/{number}" for number in reversed(range(REDIS_NUMBERS))]
    for location in (each for each in every if each not in redis_locations()):
        with redis.Redis.from_url(location) as client:
            if client.dbsize() == 0 and client.setnx(OWNER, "1"):
                break
    else:
        raise AssertionError(f"None of the {REDIS_NUMBERS} databases of Redis at {base} is empty.")
    try:
        yield location
    finally:
        with redis.Redis.from_url(location) as client:
            client.flushdb()
