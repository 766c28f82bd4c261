"""What the server's database says, read past the server."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import psycopg2  # type: ignore[import-untyped]  # it has no stubs

UPDATES = """
    SELECT r.number, s.participant_id FROM fl_server_core_submission s
    JOIN fl_server_core_round r ON r.id = s.round_id
    WHERE r.training_id = %s AND r.phase = 'update' AND s.counted
"""
STATE = """
    SELECT t.state, COALESCE(r.phase, 'idle'), m.round FROM fl_server_core_training t
    JOIN fl_server_core_model m ON m.id = t.model_id
    LEFT JOIN fl_server_core_round r ON r.training_id = t.id AND r.opened_at IS NOT NULL AND r.closed_at IS NULL
    WHERE t.id = %s
"""
CLAIMED = """
    SELECT count(*) FROM fl_server_core_round
    WHERE training_id = %s AND closed_at IS NULL AND claim IS NOT NULL
"""
SUBMISSIONS = """
    SELECT count(*) FROM fl_server_core_submission s JOIN fl_server_core_round r ON r.id = s.round_id
    WHERE r.training_id = %s AND r.phase = %s AND r.number = %s
"""
FILE_COLUMNS = (
    ("fl_server_core_modelversion", "weights_file"),
    ("fl_server_core_versionfile", "file"),
    ("fl_server_core_localmodel", "weights_file"),
    ("fl_server_core_globalmodel", "preprocessing_file"),
    ("fl_server_core_submissionfile", "file"),
)


class Database(Protocol):
    """Runs one statement. Identifiers are given as UUIDs; placeholders are written `%s`."""

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True)
class PostgresDatabase:
    """A connection for each statement: the server may have been started anew in between."""

    parameters: Mapping[str, Any]

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(**self.parameters)) as connection, connection.cursor() as cursor:
            cursor.execute(query, [str(value) if isinstance(value, UUID) else value for value in values])
            return list(cursor.fetchall())


@dataclass(frozen=True)
class SqliteDatabase:
    """The file of the embedded server, opened for reading only."""

    path: Path

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=20)) as connection:
            plain = [value.hex if isinstance(value, UUID) else value for value in values]
            return connection.execute(query.replace("%s", "?"), plain).fetchall()


@dataclass(frozen=True)
class Ledger:
    """The questions that the suite asks."""

    database: Database

    def state(self, training: UUID) -> tuple[str, str, int]:
        """State, phase, and the round of the model."""
        [(state, phase, number)] = self.database.rows(STATE, training)
        return state, phase, number

    def is_claimed(self, training: UUID) -> bool:
        """Has a worker claimed the open round?"""
        [(claims,)] = self.database.rows(CLAIMED, training)
        return bool(claims)

    def events(self, training: UUID) -> list[tuple[str, int, str]]:
        """The history: kind, round and message, oldest first."""
        query = "SELECT kind, round, message FROM fl_server_core_event WHERE training_id = %s ORDER BY id"
        return [(str(kind), int(number), str(text)) for kind, number, text in self.database.rows(query, training)]

    def moments(self, training: UUID, kind: str) -> list[datetime]:
        """When events of a kind happened, oldest first."""
        query = "SELECT at FROM fl_server_core_event WHERE training_id = %s AND kind = %s ORDER BY id"
        return [at for (at,) in self.database.rows(query, training, kind)]

    def counted(self, training: UUID) -> dict[int, set[UUID]]:
        """Whose updates counted, round by round."""
        found: dict[int, set[UUID]] = {}
        for number, person in self.database.rows(UPDATES, training):
            found.setdefault(number, set()).add(UUID(str(person)))
        return found

    def submissions(self, training: UUID, phase: str, round: int) -> int:
        """How many have submitted to a round."""
        [(number,)] = self.database.rows(SUBMISSIONS, training, phase, round)
        return int(number)

    def deliveries(self, training: UUID) -> list[int]:
        """The ids of all notifications of a training."""
        query = "SELECT id FROM fl_server_core_delivery WHERE training_uuid = %s"
        return [int(row) for (row,) in self.database.rows(query, training)]

    def delivery_seconds(self, training: UUID, receiver: UUID) -> list[float]:
        """How long each accepted notification of a receiver took from its row to its answer."""
        query = """
            SELECT created_at, settled_at FROM fl_server_core_delivery
            WHERE training_uuid = %s AND receiver_id = %s AND status = 'accepted'
        """
        return [(settled - made).total_seconds() for made, settled in self.database.rows(query, training, receiver)]

    def file_names(self) -> set[str]:
        """Every file that a row names."""
        names: set[str] = set()
        for table, column in FILE_COLUMNS:
            query = f"SELECT {column} FROM {table} WHERE {column} <> ''"  # the names above
            names.update(str(name) for (name,) in self.database.rows(query))
        return names
