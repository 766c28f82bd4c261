"""Backups by processes that are killed in their middle, or whose disk is full."""

from __future__ import annotations

import os
import resource
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fl_server.backup.folder import BackupFolder
from fl_server_core.services.backup_holds import LEASE
from tests.builders.waiting import wait_until
from tests.server_process import REPOSITORY, run_manage, server_environment

pytestmark = pytest.mark.once
KB = 1024
SMALL_FILE = 100 * KB


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a server with one model, which doesn't run."""
    place = tmp_path_factory.mktemp("server") / "var"
    for command in ("migrate", "create_demo_data"):
        done = run_manage(command, environment=server_environment(place))
        assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def stored(data: Path) -> Path:
    """The one file in its storage."""
    [path] = data.glob("files/models/*/*/*.pt")
    return path


def rows(data: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(data / "db.sqlite3")) as database, database:
        return database.execute(query).fetchall()


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@contextmanager
def a_file_of_which_half_comes(path: Path) -> Iterator[None]:
    """Whoever reads it waits for the rest."""
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    ends = os.open(path, os.O_RDWR)
    os.write(ends, content[: len(content) // 2])
    yield
    os.close(ends)
    path.unlink()
    path.write_bytes(content)


def test_a_backup_that_is_killed_is_none_and_the_next_one_clears_up(data: Path, stored: Path, tmp_path: Path) -> None:
    folder, run = BackupFolder(tmp_path / "backups"), partial(run_manage, environment=server_environment(data))
    with a_file_of_which_half_comes(stored):
        command = [sys.executable, "manage.py", "backup", str(folder.path)]
        process = subprocess.Popen(command, cwd=REPOSITORY, env=server_environment(data))
        try:
            wait_until("half a file", lambda: f".{stored.name}.part" in files_in(folder.files), 60)
        finally:
            process.kill()
            process.wait()
    [unfinished] = folder.backups.iterdir()
    assert files_in(folder.path) == {".lock", "database.sqlite3", f".{stored.name}.part"}
    for words in (("backup", "verify", str(folder.path)), ("restore", str(folder.path))):
        refused = run(*words)
        assert (refused.returncode, "holds no backup" in refused.stderr) == (1, True)
    long_ago = f"datetime('now', '-{2 * LEASE.total_seconds():.0f} seconds')"
    assert rows(data, "SELECT until > datetime('now') FROM fl_server_core_backuphold") == [(1,)]
    rows(data, f"UPDATE fl_server_core_backuphold SET until = {long_ago}")
    done = run("backup", str(folder.path))
    assert (done.returncode, done.stderr) == (0, "")
    assert not unfinished.exists()
    assert files_in(folder.files) == {stored.name}
    assert rows(data, "SELECT * FROM fl_server_core_backuphold") == []
    assert run("backup", "verify", str(folder.path)).returncode == 0


def on_a_disk_of(size: int, place: Path, *commands: list[str], data: Path) -> list[str]:
    """What these commands, and then what is left on the disk, say."""
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(place)]
    lines = [shlex.join(command) for command in (mounting, *commands, ["find", str(place), "-type", "f"])]
    script = "; echo status $?\n".join(lines)
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        cwd=REPOSITORY,
        env=server_environment(data),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
        check=False,
    )
    first, *said = done.stdout.splitlines()
    if first != "status 0":
        pytest.skip(f"no small disk can be mounted here: {first}")
    return said


def test_a_disk_that_is_full_is_said_and_keeps_no_half_of_a_backup(data: Path, stored: Path, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    database = (data / "db.sqlite3").stat().st_size
    back_up = [sys.executable, "manage.py", "backup", str(place)]
    for size in (database // 2, database + 8 * KB):  # in the middle of the database, and of the file
        said = on_a_disk_of(size, place, back_up, data=data)
        assert said[0].startswith(f"CommandError: {place} takes no more ("), said
        assert "No backup was made. Make room there" in said[0]
        assert said[1:] == ["status 1", f"{place}/.lock"]


def test_old_backups_make_room_where_no_new_one_has_any(data: Path, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    back_up = [sys.executable, "manage.py", "backup"]
    prune = [*back_up, "prune", str(place), "--keep", "1"]
    back_up.append(str(place))
    size = 5 * (data / "db.sqlite3").stat().st_size // 2
    said = on_a_disk_of(size, place, back_up, back_up, back_up, prune, back_up, data=data)
    assert [line for line in said if line.startswith("status")] == [f"status {code}" for code in (0, 0, 1, 0, 0)]
    assert "Removed 1 older backup and 0 files." in said


def test_a_restore_that_finds_no_room_says_so_and_is_run_again(data: Path, tmp_path: Path) -> None:
    backups, new = str(tmp_path / "backups"), tmp_path / "new"
    done = run_manage("backup", backups, environment=server_environment(data))
    assert done.returncode == 0, done.stderr
    new.mkdir()
    (new / "secret_key").write_bytes((data / "secret_key").read_bytes())
    little = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (SMALL_FILE, SMALL_FILE))
    full = subprocess.run(
        [sys.executable, "manage.py", "restore", backups],
        cwd=REPOSITORY,
        env=server_environment(new),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        preexec_fn=little,
    )
    assert full.returncode == 1
    assert "The restore was given up" in full.stderr
    assert "File too large" in full.stderr
    assert rows(new, "SELECT name FROM sqlite_master") == []
    assert [path for path in new.rglob("*.part") if path.is_file()] == []
    done = run_manage("restore", backups, environment=server_environment(new))
    assert (done.returncode, done.stderr) == (0, "")
    assert "(1 were there)" in done.stdout
    assert rows(new, "SELECT count(*) FROM fl_server_core_training") == [(1,)]
