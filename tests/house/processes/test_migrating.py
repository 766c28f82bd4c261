"""Migrating, and waiting for it: processes on SQLite. tests/faults/test_upgrades.py does the same on PostgreSQL."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from fl_server.processes import migrating
from fl_server.processes.migrating import MigrationsMissing, missing_migrations, wait_for_migrations
from tests.builders.waiting import wait_until
from tests.server_process import REPOSITORY, run_manage, server_environment

pytestmark = pytest.mark.once


def start(log: Path, environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "manage.py", *words], cwd=REPOSITORY, env=environment, stdout=file, stderr=file
        )


def says(log: Path, words: str) -> Callable[[], bool]:
    return lambda: words in log.read_text(encoding="utf-8")


def test_a_server_that_does_not_migrate_waits_for_two_that_do_at_once(tmp_path: Path) -> None:
    environment = server_environment(tmp_path / "var")
    log = tmp_path / "serve.log"
    server = start(log, environment, "serve", "--no-migrate", "--port", "0")
    try:
        wait_until("it to say what it waits for", says(log, "Waiting: The database lacks migrations: "))
        logs = [tmp_path / f"migrate-{number}.log" for number in range(2)]
        both = [start(one, environment, "migrate") for one in logs]
        assert [process.wait(120) for process in both] == [0, 0], [one.read_text() for one in logs]
        assert sorted("Applying fl_server_core.0001_initial" in one.read_text() for one in logs) == [False, True]
        wait_until("it to serve", says(log, "Serving on http://127.0.0.1:"))
        assert "The database is ready." in log.read_text()
    finally:
        server.terminate()
        assert server.wait(60) == 0
    # What a newer version has done to the database is no reason to wait.
    with closing(sqlite3.connect(tmp_path / "var" / "db.sqlite3")) as database, database:
        database.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('fl_server_core', '9999', 0)")
    server = start(log, environment | {"FL_MIGRATION_WAIT_SECONDS": "0"}, "serve", "--no-migrate", "--port", "0")
    try:
        wait_until("it to serve", says(log, "Serving on http://127.0.0.1:"))
        assert "Waiting" not in log.read_text()
    finally:
        server.terminate()
        assert server.wait(60) == 0


def test_a_wait_ends_with_a_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    environment = server_environment(tmp_path / "var") | {"FL_MIGRATION_WAIT_SECONDS": "0.5"}
    done = run_manage("serve", "--no-migrate", "--port", "0", environment=environment)
    assert done.returncode == 1
    assert "CommandError: The database lacks migrations: " in done.stderr
    assert "Run `fl-server migrate` with this version" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_lock_of_another_process_is_waited_for_and_not_for_ever(tmp_path: Path, settings: Settings) -> None:
    settings.FL_DATA_DIR, settings.FL_MIGRATION_WAIT_SECONDS = tmp_path, 0.1
    said: list[str] = []
    with (
        migrating._file_lock(said.append),
        pytest.raises(migrating.MigrationsLocked, match=r"migrating this database for 0\.1 seconds"),
        migrating._file_lock(said.append),
    ):
        pass
    assert said == ["Waiting: another process migrates the database."]
    with migrating._file_lock(said.append):  # it was let go of
        pass


@pytest.mark.django_db
def test_what_is_missing_is_what_this_version_knows_and_the_database_lacks() -> None:
    assert missing_migrations() == []
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'fl_server_core' AND name = '0013_alert_rules'")
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('unknown', '0001', '2026-01-01')")
    assert missing_migrations() == ["fl_server_core.0013_alert_rules"]


def test_a_database_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["The database cannot be used: away.", "The database cannot be used: away.", ""])
    monkeypatch.setattr(migrating, "_what_is_missing", lambda: next(answers))
    monkeypatch.setattr(migrating, "POLL_SECONDS", 0.01)
    said: list[str] = []
    wait_for_migrations(said.append, 60)
    assert said == ["Waiting: The database cannot be used: away.", "The database is ready."]
    monkeypatch.setattr(migrating, "_what_is_missing", lambda: "It is away.")
    with pytest.raises(MigrationsMissing, match="It is away"):
        wait_for_migrations(said.append, 0)
