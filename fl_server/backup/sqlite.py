"""The database as a file of SQLite."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from functools import partial
from pathlib import Path

from django.db import connection, connections

from fl_server.backup.exceptions import BackupError, full
from fl_server.backup.folder import BLOCK, sync, write_whole
from fl_server.backup.reading import Contents, Dump, read_contents

PAGES = 4096
FILE_NAME = "database.sqlite3"


def write(path: Path) -> Contents:
    """Copy the database by SQLite's online backup, as of one moment, while others read and write.

    The transaction keeps that moment: without one, the copy would begin anew whenever somebody writes.
    """
    live = _place()
    path.touch(mode=0o600)
    try:
        with (
            contextlib.closing(sqlite3.connect(f"file:{live}?mode=ro", uri=True, timeout=20)) as source,
            contextlib.closing(sqlite3.connect(path)) as copy,
        ):
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(copy, pages=PAGES, sleep=0)
            copy.execute("PRAGMA journal_mode = DELETE")  # the copy is one file
            contents = read_contents(copy.cursor(), sqlite3.sqlite_version)
    except sqlite3.Error as error:
        # On a full disk it also speaks of an error of the disk.
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL or shutil.disk_usage(path.parent).free < BLOCK:
            raise BackupError(full(path.parents[2], str(error))) from error
        raise BackupError(f"The database {live} can't be copied: {error}") from error
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return contents


def restore(path: Path, *, keep: str | None) -> None:
    """Put the file in the database's place, at one moment. keep: what an earlier database is then called, if any."""
    place = _place()
    connections.close_all()
    staged = place.with_name(f"{place.name}.restoring")
    with path.open("rb") as source:
        write_whole(staged, iter(partial(source.read, BLOCK), b""))
    if place.exists():
        with contextlib.closing(sqlite3.connect(place)) as old:  # its log goes into the file, and is gone
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if place.exists() and keep:
        place.rename(place.with_name(keep))
    for rest in ("-wal", "-shm"):
        place.with_name(place.name + rest).unlink(missing_ok=True)
    staged.replace(place)
    sync(place.parent)


def check() -> None:
    """Raises BackupError where there is no database. (Whoever connects makes an empty one.)"""
    if not _place().is_file():
        raise BackupError(f"There is no database at {_place()}. Set FL_DATA_DIR as the server has it.")


def _place() -> Path:
    return Path(connection.settings_dict["NAME"])


DUMP = Dump("sqlite", FILE_NAME, check, write)
