"""Where a server keeps its things, which a test takes from it and gives back: data folder, database, Redis, files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from django.conf import settings

from tests.e2e.sites import OWNER, Site, execute, fresh_database, own_redis_database
from tests.faults.harness.ledger import Ledger, PostgresDatabase, SqliteDatabase
from tests.faults.harness.processes import Process
from tests.object_store import BUCKET, REGION, ObjectStore
from tests.server_process import REPOSITORY, ServerProcess, run_manage, server_environment


@dataclass(frozen=True)
class Files:
    """The files of a server: its settings for them, the names of those that are there, and their end."""

    settings: dict[str, str]
    names: Callable[[], set[str]]
    lose: Callable[[], None]


def in_folder(data: Path) -> Files:
    """In the data folder."""
    files = data / "files"
    return Files(
        {},
        lambda: {str(path.relative_to(files)) for path in files.glob("models/*/*/*")},
        lambda: shutil.rmtree(files),
    )


def in_bucket(store: ObjectStore, bucket: str = BUCKET, prefix: str = "") -> Files:
    """In a bucket of the store, which is made if need be."""
    found, folder = store.client, f"{prefix}/" if prefix else ""
    if bucket != BUCKET:
        found.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    def names() -> set[str]:
        return {name.removeprefix(folder) for name in store.objects(bucket) if name.startswith(folder)}

    def lose() -> None:
        for name in store.objects(bucket):
            found.delete_object(Bucket=bucket, Key=name)

    return Files(store.settings(store.url) | {"FL_S3_BUCKET": bucket, "FL_S3_PREFIX": prefix}, names, lose)


@dataclass
class Place:
    """With PostgreSQL (`connection`), Redis, a worker and beat, or all in one process on SQLite."""

    data: Path
    files: Files
    connection: dict[str, Any] | None = None
    redis: str = ""
    celery: list[Process] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        own = {"DJANGO_SETTINGS_MODULE": "fl_server.settings.development"}
        if self.connection:
            own |= {
                "FL_POSTGRES_HOST": self.connection["host"],
                "FL_POSTGRES_PORT": str(self.connection["port"]),
                "FL_POSTGRES_USER": self.connection["user"],
                "FL_POSTGRES_PASSWD": self.connection["password"],
                "FL_POSTGRES_DBNAME": self.connection["dbname"],
                "FL_REDIS_LOCATION": self.redis,
                "FL_SHARED_FILES": "true",
                "CELERY_LOG_LEVEL": "INFO",
            }
        return server_environment(self.data) | own | self.files.settings

    @property
    def ledger(self) -> Ledger:
        known = self.connection
        return Ledger(PostgresDatabase(known) if known else SqliteDatabase(self.data / "db.sqlite3"))

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[tuple[Site, ServerProcess]]:
        """Yields the server while it runs, and its web process."""
        with ExitStack() as stack:
            stack.callback(self.kill_celery)
            server = stack.enter_context(ServerProcess(self.data, "--port", str(port), environment=self.environment))
            if self.redis:
                self._start_celery()
            yield Site(server.base_url, self.environment, self.ledger, "backed up"), server
            if server.process.poll() is None:
                server.stop()

    def _start_celery(self) -> None:
        for name in ("worker", "beat"):
            process = Process(
                name,
                [sys.executable, "-m", "fl_server_command", name],
                folder=self.data.parent,
                environment=self.environment,
                directory=REPOSITORY,
                is_ready=lambda process: process.name == "beat" or "ready." in process.output(),
            )
            self.celery.append(process)
            process.start()

    def kill_celery(self) -> None:
        """The worker and beat, if there are any."""
        while self.celery:
            self.celery.pop().kill()

    def lose(self) -> None:
        """Nothing is left of it: no files, no rows, nothing in Redis."""
        self.files.lose()
        shutil.rmtree(self.data)
        if self.connection:
            name = self.connection["dbname"]
            execute(self.connection, f"DROP DATABASE {name} WITH (FORCE)")
            execute(self.connection, f"CREATE DATABASE {name}")
            with redis.Redis.from_url(self.redis) as client:
                client.delete(*(key for key in client.scan_iter() if key != OWNER.encode()))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One of the commands, with the settings of the server."""
        return run_manage(*arguments, environment=self.environment)

    def take_key_of(self, key: str) -> None:
        """Make the data folder, with this secret key."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.data / "secret_key").write_text(key, encoding="ascii")


@contextmanager
def a_place(data: Path, files: Files) -> Iterator[Place]:
    """On the database of this pass of the suite."""
    if settings.FL_EMBEDDED:
        yield Place(data, files)
        return
    with fresh_database() as connection, own_redis_database() as location:
        yield Place(data, files, connection, location)
