"""The database backend that `ENGINE = "fl_server.sqlite"` names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db.backends.sqlite3 import base

from fl_server.sqlite.turns import Turn, Turns, turns_of

WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "ALTER", "DROP")
SQLITE_TIMEOUT = 5.0  # Python's default


class DatabaseWrapper(base.DatabaseWrapper):
    """Whoever writes to the file waits for a turn first, then for SQLite's own lock. Readers do not wait.

    A turn lasts as long as SQLite's lock: from BEGIN IMMEDIATE to the commit or the rollback, or for one statement
    outside any transaction. Without one (the wait was too long, or another connection of this thread has it) SQLite's
    lock decides alone.
    """

    _turns: Turns | None = None
    _turn: Turn | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        self._turns = None if self.is_in_memory_db() else turns_of(str(conn_params["database"]))
        return connection

    def create_cursor(self, name: str | None = None) -> Any:  # noqa: ARG002  Django's signature
        return self.connection.cursor(factory=lambda connection: Cursor(connection, self))

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Have a turn for a block; if there is a transaction at its end, for as long as that lasts."""
        if self._turns is not None and self._turn is None and not self.connection.in_transaction:
            self._turn = self._turns.take(float(self.settings_dict["OPTIONS"].get("timeout", SQLITE_TIMEOUT)))
        try:
            yield
        finally:
            self._end_turn()

    def set_autocommit(self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False) -> None:
        """Django's `atomic` begins here, with BEGIN IMMEDIATE, as the settings say: every transaction writes."""
        is_begin = force_begin_transaction_with_broken_autocommit and not autocommit
        with self.turn() if is_begin else contextlib.nullcontext():
            super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)

    def commit(self) -> None:
        try:
            super().commit()
        finally:
            self._end_turn()

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self._end_turn()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._give_back()

    def _end_turn(self) -> None:
        if self.connection is None or not self.connection.in_transaction:
            self._give_back()

    def _give_back(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None and self._turns is not None:
            self._turns.give_back(turn)


class Cursor(base.SQLiteCursorWrapper):
    """Waits for a turn before a statement that writes and stands alone.

    The rows of INSERT … RETURNING are fetched after the turn, which is when SQLite ends its lock: the next one may
    meet it for a moment, but nobody overtakes.
    """

    def __init__(self, connection: Any, database: DatabaseWrapper) -> None:
        super().__init__(connection)
        self._database = database

    def execute(self, query: str, params: Any = None) -> Any:
        with self._turn_for(query):
            return super().execute(query, params)

    def executemany(self, query: str, param_list: Any) -> Any:
        with self._turn_for(query):
            return super().executemany(query, param_list)

    def _turn_for(self, query: str) -> contextlib.AbstractContextManager[None]:
        is_write = query.lstrip()[:8].upper().startswith(WRITES)
        return self._database.turn() if is_write else contextlib.nullcontext()
