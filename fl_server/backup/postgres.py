"""The database as pg_dump writes it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from fl_server.backup.exceptions import BackupError, full
from fl_server.backup.reading import Contents, Dump, read_contents

FILE_NAME = "database.sql"
HEAD = 4096
NEW_SETTINGS = (b"SET transaction_timeout = 0;",)
"""Since version 17."""
INSTALL = (
    "Install PostgreSQL's client programs, of the server's version {version} or newer, where this command runs "
    "(Debian: apt-get install postgresql-client), or put their folder into PATH."
)


def write(path: Path) -> Contents:
    """Have pg_dump write the database as of one moment, while others read and write."""
    program = _program("pg_dump")
    with _snapshot() as (snapshot, own):
        with own.cursor() as cursor:
            contents = read_contents(cursor, _version_text(_version_of(own)))
        path.touch(mode=0o600)
        options = ["--format=plain", "--no-owner", "--no-privileges", "--encoding=UTF8"]
        try:
            _run([program, *options, f"--snapshot={snapshot}", f"--file={path}"])
        except BackupError as error:
            if os.strerror(errno.ENOSPC) in str(error):
                raise BackupError(full(path.parents[2], str(error))) from error
            raise
    silence_new_settings(path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return contents


def silence_new_settings(path: Path) -> None:
    """A newer pg_dump begins with settings that an older server does not know, and that are its default anyway."""
    with path.open("r+b") as file:
        head = file.read(HEAD)
        for line in NEW_SETTINGS:
            head = head.replace(b"\n" + line + b"\n", b"\n--" + line[2:] + b"\n")
        file.seek(0)
        file.write(head)


def restore(path: Path) -> None:
    """Replace everything of this server in the database, in one transaction."""
    program = _program("psql")
    connection.ensure_connection()
    drops = _drop_statements()
    connections.close_all()
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", f"--output={os.devnull}"]
    with NamedTemporaryFile("w", dir=settings.FILE_UPLOAD_TEMP_DIR, suffix=".sql", encoding="utf-8") as first:
        first.write(drops)
        first.flush()
        _run([program, *options, f"--file={first.name}", f"--file={path}"])


def other_connections() -> int:
    """Sessions of others in this database: a server that runs has some."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def check_programs(*names: str) -> None:
    """Raises BackupError where one is missing, or too old for the server."""
    for name in names:
        _program(name)


@contextmanager
def _snapshot() -> Iterator[tuple[str, BaseDatabaseWrapper]]:
    """A snapshot that other sessions may take over while this transaction lasts, and the session that has it."""
    own = connection.copy()
    tables = ", ".join(connection.ops.quote_name(name) for name in connection.introspection.table_names())
    if not tables:
        raise BackupError("The database has no tables. Set FL_POSTGRES_DBNAME as the server has it.")
    try:
        with own.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # Before the snapshot: a table that a migration writes anew after it would seem to be empty in it.
            cursor.execute(f"LOCK TABLE {tables} IN ACCESS SHARE MODE")
            cursor.execute("SELECT pg_export_snapshot()")
            name = cursor.fetchone()[0]
        yield name, own
    finally:
        own.close()


def _program(name: str) -> str:
    """The path of one of PostgreSQL's programs that can talk to this server."""
    connection.ensure_connection()
    needed = _version_of(connection) // 10_000
    hint = INSTALL.format(version=needed)
    path = shutil.which(name)
    if path is None:
        raise BackupError(f"{name} is not installed. {hint}")
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    found = re.search(r"(\d+)(?:\.\d+)*", done.stdout)
    if found is None or int(found[1]) < needed:
        version = found[1] if found else "unknown"
        raise BackupError(f"{path} is of version {version}, older than the server's version {needed}. {hint}")
    return path


def _version_of(session: Any) -> int:
    """Of the server: 150020 for 15.20. (Only the wrapper for PostgreSQL has it.)"""
    return int(session.pg_version)


def _version_text(number: int) -> str:
    return f"{number // 10_000}.{number % 10_000}"


def _run(command: list[str]) -> None:
    """Run one of PostgreSQL's programs on this server's database. Its password is in no argument."""
    values = connection.settings_dict
    environment = os.environ | {
        "PGHOST": str(values["HOST"]),
        "PGPORT": str(values["PORT"]),
        "PGUSER": str(values["USER"]),
        "PGDATABASE": str(values["NAME"]),
        "PGPASSWORD": str(values["PASSWORD"]),
        "PGCONNECT_TIMEOUT": "10",
    }
    done = subprocess.run(  # noqa: S603  ours
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = _without_data(done.stderr) or _how_it_ended(done.returncode)
        raise BackupError(f"{Path(command[0]).name} failed: {reason}")


def _how_it_ended(status: int) -> str:
    return f"it was ended by {signal.Signals(-status).name}" if status < 0 else f"it ended with status {status}"


def _without_data(errors: str) -> str:
    """What went wrong, without the lines that quote rows: they may hold what nobody should read in a log."""
    lines = errors.strip().splitlines()
    told = [line for line in lines if re.search(r"\b(error|fatal):", line, re.IGNORECASE)]
    return " ".join(told or lines[:1])[:2000]


def _drop_statements() -> str:
    """Everything that this server's migrations have made, whichever of them: not what others keep in the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        schema = str(cursor.fetchone()[0])
        tables = [one.name for one in connection.introspection.get_table_list(cursor) if one.type in ("t", "p")]
    quote = connection.ops.quote_name
    ours = [name for name in tables if name.startswith(("fl_", "auth_", "django_"))]
    lines = [f"DROP TABLE IF EXISTS {quote(schema)}.{quote(name)} CASCADE;" for name in ours]
    lines += [f"DROP FUNCTION IF EXISTS {quote(schema)}.{name}() CASCADE;" for name in FUNCTIONS]
    return "\n".join(["SET client_min_messages = warning;", *lines, ""])


FUNCTIONS = ("fl_audit_refuse", "fl_audit_enlist")
"""Those of migration 0010."""
DUMP = Dump("postgresql", FILE_NAME, lambda: check_programs("pg_dump"), write)
