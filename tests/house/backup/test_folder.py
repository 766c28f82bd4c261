"""Where things are in a folder with backups."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import BackupFolder

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


def test_a_folder_that_cannot_be_made_is_named_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BackupError, match=r"file.* can't be made: .*Name another one"):
        BackupFolder(tmp_path / "file").make()
