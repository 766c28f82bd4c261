"""Migrations and the processes that need them: one process applies them, the others wait."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader

from fl_server.processes.lock import try_to_lock

POLL_SECONDS = 0.5
# The same for all who migrate a PostgreSQL database. Any number will do that nobody else uses.
LOCK_NUMBER = 7_305_451_112
SHOWN = 3

Say = Callable[[str], object]


class MigrationsMissing(Exception):
    """The database has not come to what this process needs, in the time that it waits."""


class MigrationsLocked(Exception):
    """Another process has been migrating for longer than this one waits."""


def missing_migrations() -> list[str]:
    """The migrations of this version that the database lacks, as app.name. It may have others besides."""
    loader = MigrationLoader(connection)
    applied = loader.applied_migrations
    return sorted(f"{app}.{name}" for app, name in loader.graph.nodes if (app, name) not in applied)


def wait_for_migrations(say: Say, seconds: float | None = None) -> None:
    """Return when the database has every migration that this version knows. `say` gets a line when that changes.

    Raises:
        MigrationsMissing: after `seconds`, by default FL_MIGRATION_WAIT_SECONDS; with a sentence that says what to do.
    """
    limit: float = settings.FL_MIGRATION_WAIT_SECONDS if seconds is None else seconds
    deadline = time.monotonic() + limit
    said = ""
    try:
        while problem := _what_is_missing():
            if time.monotonic() >= deadline:
                raise MigrationsMissing(
                    f"{problem} This process has waited for {limit:g} seconds (FL_MIGRATION_WAIT_SECONDS). Run "
                    "`fl-server migrate` with this version, then start it again."
                )
            if problem != said:
                said = problem
                say(f"Waiting: {problem}")
            time.sleep(POLL_SECONDS)
    finally:
        connection.close()
    if said:
        say("The database is ready.")


def _what_is_missing() -> str:
    try:
        missing = missing_migrations()
    except Error as error:
        connection.close()
        return f"The database cannot be used: {str(error).strip()}"
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    return f"The database lacks migrations: {', '.join(missing[:SHOWN])}{more}." if missing else ""


@contextmanager
def migration_lock(say: Say) -> Iterator[None]:
    """Hold the right to migrate. The system takes it back however its holder ends.

    Raises:
        MigrationsLocked: somebody else holds it for longer than FL_MIGRATION_WAIT_SECONDS.
    """
    with _database_lock(say) if connection.vendor == "postgresql" else _file_lock(say):
        yield


@contextmanager
def _database_lock(say: Say) -> Iterator[None]:
    # Asked for again and again: a statement that waits for a lock has a snapshot, and an index that is made
    # concurrently by the holder waits for all snapshots to end.
    _wait(lambda: bool(_query("SELECT pg_try_advisory_lock(%s)")), say)
    try:
        yield
    finally:
        if connection.connection is not None and connection.is_usable():  # else it is gone, and the lock with it
            _query("SELECT pg_advisory_unlock(%s)")


def _query(statement: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement, [LOCK_NUMBER])
        return cursor.fetchone()[0]


@contextmanager
def _file_lock(say: Say) -> Iterator[None]:
    path = Path(settings.FL_DATA_DIR) / "migrate.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait(lambda: try_to_lock(descriptor), say)
        yield
    finally:
        os.close(descriptor)


def _wait(is_ours: Callable[[], bool], say: Say) -> None:
    limit: float = settings.FL_MIGRATION_WAIT_SECONDS
    deadline = time.monotonic() + limit
    has_said = False
    while not is_ours():
        if time.monotonic() >= deadline:
            raise MigrationsLocked(
                f"Another process has been migrating this database for {limit:g} seconds (FL_MIGRATION_WAIT_SECONDS). "
                "Try again when it has ended."
            )
        if not has_said:
            has_said = True
            say("Waiting: another process migrates the database.")
        time.sleep(POLL_SECONDS)
