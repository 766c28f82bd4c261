"""The database, its migrations, and the file storage."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from django.core.files.storage import default_storage
from django.db import DatabaseError, OperationalError, close_old_connections, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from fl_server_core.monitoring.findings import OK, Finding, Findings, failing
from fl_server_core.storage import PROBE

DATABASE, MIGRATIONS, STORAGE = "database", "migrations", "storage"


def look_at_database() -> Findings:
    """Can rows be read, and has the database all tables and columns of this version of the server?"""
    close_old_connections()
    try:
        return _look_at_database()
    finally:
        close_old_connections()


def _look_at_database() -> Findings:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        _refuse_lost_file()
        applied = MigrationRecorder(connection).applied_migrations()
    except DatabaseError as error:
        connection.close()
        return {DATABASE: failing(error), MIGRATIONS: Finding(None)}
    missing = sorted(f"{app}.{name}" for app, name in newest_migrations() if (app, name) not in applied)
    return {DATABASE: OK, MIGRATIONS: Finding(False, f"Not applied: {', '.join(missing)}") if missing else OK}


def _refuse_lost_file() -> None:
    """Detects a removed file: SQLite would go on reading and writing it, though nobody else can see it."""
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        raise OperationalError("The database's file has been removed.")


@cache
def newest_migrations() -> tuple[tuple[str, str], ...]:
    """The last migration of each app: where it has been applied, those before it have been, too."""
    return tuple(MigrationLoader(None, ignore_no_migrations=True).graph.leaf_nodes())


def look_at_storage() -> Findings:
    """Does the file storage answer, and accept files?"""
    storage: Any = default_storage
    try:
        storage.probe() if hasattr(storage, "probe") else storage.exists(PROBE)
    except OSError as error:
        return {STORAGE: failing(error)}
    return {STORAGE: OK}
