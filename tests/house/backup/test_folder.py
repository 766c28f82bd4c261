"""Where things are in a folder with backups."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import BackupFolder, write_whole

pytestmark = pytest.mark.once


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    for name in ("../secret", "/etc/passwd", "models/../../x", ""):
        with pytest.raises(BackupError, match="no name that this server gives"):
            BackupFolder(tmp_path).file(name)


def test_a_folder_without_the_backup_that_is_asked_for_says_what_it_holds(tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path)
    with pytest.raises(BackupError, match=r"holds no backup\. `fl-server backup"):
        folder.find(None)
    for name in ("2026-01-02", "2026-01-01"):
        (folder.backups / name).mkdir(parents=True)
    (folder.backups / ".2026-01-03.part").mkdir()
    assert folder.find(None).name == "2026-01-02"
    with pytest.raises(BackupError, match="It holds: 2026-01-01, 2026-01-02"):
        folder.find("2025")


def test_a_folder_in_which_others_could_read_or_change_backups_is_refused_or_closed(tmp_path: Path) -> None:
    open_to_all, linked, readable = (BackupFolder(tmp_path / name) for name in ("open", "linked", "readable"))
    open_to_all.path.mkdir()
    open_to_all.path.chmod(0o777)
    with pytest.raises(BackupError, match="Run: chmod o-w"):
        open_to_all.make()
    (tmp_path / "theirs").mkdir()
    linked.path.mkdir()
    linked.backups.symlink_to(tmp_path / "theirs")
    with pytest.raises(BackupError, match="is a link, or of another user"):
        linked.make()
    readable.backups.mkdir(parents=True, mode=0o755)
    readable.make()
    assert readable.backups.stat().st_mode & 0o777 == 0o700


def test_a_link_that_waits_for_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / ".database.part").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        write_whole(tmp_path / "database", [b"x"])
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_folder_that_cannot_be_made_is_named_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BackupError, match=r"file.* can't be made: .*Name another one"):
        BackupFolder(tmp_path / "file").make()
