"""A backup of an older version of the server, made and restored by processes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.server_process import run_manage, server_environment

pytestmark = pytest.mark.once
OLDER = "0013"


def test_a_backup_of_an_older_database_is_brought_up_to_date(tmp_path: Path) -> None:
    old, new = (server_environment(tmp_path / name) | {"FL_DJANGO_SECRET_KEY": "key"} for name in ("old", "new"))
    backups = str(tmp_path / "backups")
    missing = run_manage("backup", backups, environment=old)
    assert (missing.returncode, "There is no database at" in missing.stderr) == (1, True)
    assert run_manage("migrate", "fl_server_core", OLDER, environment=old).returncode == 0
    made = run_manage("backup", backups, environment=old)
    assert made.returncode == 0, made.stderr
    assert "older version of the server" in made.stderr
    restored = run_manage("restore", backups, environment=new)
    assert (restored.returncode, restored.stderr) == (0, "")
    checked = run_manage("migrate", "--check", environment=new)
    assert checked.returncode == 0, checked.stdout
    with closing(sqlite3.connect(tmp_path / "new" / "db.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM fl_server_core_auditentry WHERE verb = 'restore'").fetchone()[0]
