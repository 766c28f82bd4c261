"""What a backup reads from the database itself, all in one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from django.db import connection

from fl_server_core.models import GlobalModel, Installation, ModelVersion, Round, Submission, Training, User
from fl_server_core.services.orphans import file_fields

COUNTED = {
    "accounts": User,
    "models": GlobalModel,
    "versions": ModelVersion,
    "trainings": Training,
    "rounds": Round,
    "submissions": Submission,
}


class Cursor(Protocol):
    """What both databases' cursors can do."""

    def execute(self, statement: str) -> Any: ...
    def fetchall(self) -> Sequence[Sequence[Any]]: ...


@dataclass(frozen=True)
class Contents:
    """names: the files that rows name, with their SHA-256 where a row has it (else "")."""

    engine_version: str
    installation: str
    migrations: list[str]
    counts: dict[str, int]
    names: dict[str, str]


@dataclass(frozen=True)
class Dump:
    """How a database is written to one file, and read back.

    check: raises BackupError where it can't be. write: writes a snapshot to this path and says what is in it.
    file_name: in a backup's folder.
    """

    engine: str
    file_name: str
    check: Callable[[], None]
    write: Callable[[Path], Contents]


def read_contents(cursor: Cursor, engine_version: str) -> Contents:
    """Ask one snapshot."""
    quote = connection.ops.quote_name

    def ask(statement: str) -> Sequence[Sequence[Any]]:
        cursor.execute(statement)
        return cursor.fetchall()

    names: dict[str, str] = {}
    for field in file_fields():
        table, column = quote(field.model._meta.db_table), quote(field.column or "")
        names.update((row[0], "") for row in ask(f"SELECT DISTINCT {column} FROM {table} WHERE {column} <> ''"))  # noqa: S608
    versions = quote(ModelVersion._meta.db_table)
    known = ask(f"SELECT DISTINCT weights_file, digest FROM {versions} WHERE weights_file <> ''")  # noqa: S608
    names.update((name, digest) for name, digest in known if digest)
    rows = ask(f"SELECT identifier FROM {quote(Installation._meta.db_table)}")  # noqa: S608
    return Contents(
        engine_version=engine_version,
        installation=str(rows[0][0]).replace("-", "") if rows else "",
        migrations=[f"{app}.{name}" for app, name in ask("SELECT app, name FROM django_migrations ORDER BY id")],
        counts={
            word: ask(f"SELECT count(*) FROM {quote(model._meta.db_table)}")[0][0]  # noqa: S608
            for word, model in COUNTED.items()
        },
        names=names,
    )
