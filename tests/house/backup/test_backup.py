"""Backups are whole or not at all, hold every file that their database names, and say so if they don't."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from fl_server.backup import copying, making
from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import BackupFolder, write_whole
from fl_server.backup.making import make_backup
from fl_server.backup.manifest import read_manifest
from fl_server.backup.restoring import Permissions, restore_backup
from fl_server_core.append_only import purging
from fl_server_core.models import AuditEntry, BackupHold, GlobalModel, StoredFile
from fl_server_core.services.models import delete_model
from fl_server_core.services.orphans import remove_orphans
from tests.builders.rows import make_model
from tests.builders.storage import content_of, file_name_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("emptied_storage")]


def back_up(folder: BackupFolder) -> making.Made:
    return make_backup(folder, warn=lambda sentence: pytest.fail(sentence))


def command(*arguments: str) -> str:
    output = StringIO()
    call_command("backup", *arguments, stdout=output)
    return output.getvalue()


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Something happens after the database was read, and before the first file is copied."""
    original = copying.Copier.copy_all

    def copy_all(copier: copying.Copier) -> Any:
        happens()
        return original(copier)

    monkeypatch.setattr(copying.Copier, "copy_all", copy_all)


def age(name: str) -> None:
    os.utime(default_storage.path(name), (0, 0))


def test_a_file_that_is_deleted_after_the_snapshot_is_copied_and_then_removed(
    model: GlobalModel, folder: BackupFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = file_name_of(model)
    content = content_of(name)
    StoredFile.objects.create(name=name, size=1)
    age(name)

    def delete() -> None:
        delete_model(model_id=model.pk, user=model.owner)
        remove_orphans(older_than=timedelta(hours=1))

    meanwhile(monkeypatch, delete)
    made = back_up(folder)
    assert not GlobalModel.objects.exists()
    assert [file.name for file in made.manifest.files] == [name]
    assert folder.file(name).read_bytes() == content
    assert made.manifest.lost == []
    assert default_storage.exists(name)
    remove_orphans(older_than=timedelta(hours=1))
    assert (default_storage.exists(name), StoredFile.objects.exists(), BackupHold.objects.exists()) == (False,) * 3


def test_a_backup_that_slept_too_long_and_lacks_a_file_is_none(
    model: GlobalModel, folder: BackupFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep() -> None:
        BackupHold.objects.update(until=timezone.now() - timedelta(seconds=1))
        delete_model(model_id=model.pk, user=model.owner)

    other = make_model(model.owner)
    meanwhile(monkeypatch, sleep)
    with pytest.raises(BackupError, match="Make the backup again"):
        back_up(folder)
    assert folder.names() == []
    assert folder.file(file_name_of(other)).is_file()
    monkeypatch.undo()
    assert back_up(folder).copied == 0


def test_files_are_copied_once_and_a_pruned_folder_has_what_is_left(model: GlobalModel, folder: BackupFolder) -> None:
    gone = make_model(model.owner)
    name = file_name_of(gone)
    assert "Copied 2 new files" in command(str(folder.path))
    delete_model(model_id=gone.pk, user=gone.owner)
    kept = make_model(model.owner)
    said = command(str(folder.path), "--keep", "1")
    assert "Copied 1 new file (" in said
    assert "Removed 1 older backup and 1 file." in said
    assert folder.file(file_name_of(kept)).is_file()
    assert not folder.file(name).exists()
    assert command("verify", str(folder.path), "--all").count("is good") == 1
    assert AuditEntry.objects.filter(verb="backup", object_kind="server").count() == 2


def test_only_its_owner_reads_a_backup_and_it_does_not_hold_the_secret_key(
    model: GlobalModel, folder: BackupFolder
) -> None:
    said = command(str(folder.path))
    for path in (folder.path, *folder.path.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        if path.is_file():
            assert settings.SECRET_KEY.encode() not in path.read_bytes()
    assert settings.SECRET_KEY not in said


def test_a_backup_that_was_ended_leaves_none_and_the_next_one_goes_on(
    model: GlobalModel, folder: BackupFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.make()
    (folder.backups / ".2026.part").mkdir()
    left = folder.file("models/x/.half.pt.part")
    left.parent.mkdir(parents=True)
    left.write_bytes(b"ha")
    other = make_model(model.owner)
    last = max(file_name_of(model), file_name_of(other))
    monkeypatch.setattr(copying, "write_whole", _failing_at(folder.file(last), write_whole))
    with pytest.raises(CommandError, match="No space"):
        command(str(folder.path))
    assert (folder.names(), left.exists(), list(folder.backups.iterdir())) == ([], False, [])
    assert not BackupHold.objects.exists()
    monkeypatch.undo()
    assert "Copied 1 new file (" in command(str(folder.path))


def _failing_at(full: Path, original: Any) -> Any:
    def write(path: Path, blocks: Any) -> Any:
        if path == full:
            raise OSError(28, "No space left on device")
        return original(path, blocks)

    return write


def test_a_file_that_the_server_itself_lacks_or_has_damaged_is_named(
    model: GlobalModel, folder: BackupFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_model(model.owner)
    default_storage.delete(file_name_of(model))
    Path(default_storage.path(file_name_of(other))).write_bytes(b"other bytes")
    command(str(folder.path))
    errors = capsys.readouterr().err
    assert f"does not have 1 file: {file_name_of(model)}" in errors
    assert f"has damaged 1 file: {file_name_of(other)}" in errors
    default_storage.delete(file_name_of(other))
    with pytest.raises(CommandError, match="none of the 2 files that the database names"):
        command(str(folder.path.with_name("elsewhere")))


def test_an_earlier_backup_that_is_damaged_does_not_stop_the_next_one_but_the_removal_of_files(
    model: GlobalModel, folder: BackupFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    first = back_up(folder)
    _change(folder.backups / first.name / "manifest.json")
    with pytest.raises(CommandError, match=r"manifest\.json is not as it was written"):
        command(str(folder.path), "--keep", "2")
    assert "An earlier backup isn't good" in capsys.readouterr().err
    assert len(folder.names()) == 2
    command(str(folder.path), "--keep", "1")
    assert len(folder.names()) == 1
    assert folder.file(file_name_of(model)).is_file()


def _change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_verify_and_restore_find_what_is_not_as_it_was_written(model: GlobalModel, folder: BackupFolder) -> None:
    made = back_up(folder)
    path = folder.backups / made.name
    for place in (folder.file(file_name_of(model)), path / made.manifest.database.name, path / "manifest.json"):
        content = place.read_bytes()
        for change in (_change, lambda path: os.truncate(path, 10), Path.unlink):
            change(place)
            with pytest.raises(CommandError, match=place.name):
                command("verify", str(folder.path))
            sentence = place.name if place.name == "manifest.json" else "nothing was restored"
            with pytest.raises(BackupError, match=sentence):
                restore(folder, Permissions(replace=True))
            place.write_bytes(content)
    assert "is good" in command("verify", str(folder.path))
    assert GlobalModel.objects.get() == model


def restore(folder: BackupFolder, allowed: Permissions = Permissions()) -> None:  # noqa: B008  it is frozen
    path = folder.find(None)
    restore_backup(folder, path, read_manifest(path), allowed=allowed, say=lambda _: None)


def test_what_does_not_fit_is_refused_with_a_sentence_and_changes_nothing(
    model: GlobalModel, folder: BackupFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = back_up(folder)
    path = folder.backups / made.name
    with pytest.raises(BackupError, match=r"isn't empty: it has accounts \(1\), models \(1\)\. .* nothing is merged"):
        restore(folder)
    monkeypatch.setattr(settings, "SECRET_KEY", "another")
    with pytest.raises(BackupError, match="another secret key"):
        restore(folder)
    monkeypatch.undo()
    other = "postgresql" if connection.vendor == "sqlite" else "sqlite"
    for changes, sentence in (
        ({"engine": other}, "same kind of database"),
        ({"counts": {}}, "isn't sealed by this server's secret key"),
        ({"migrations": [*made.manifest.migrations, "fl_server_core.9999_later"]}, "newer than this server"),
        ({"format": 2}, "newer than this one"),
    ):
        _rewrite(path, {**json.loads((path / "manifest.json").read_text()), **changes}, folder)
        with pytest.raises(BackupError, match=sentence):
            restore(BackupFolder(folder.path.with_name("changed")))
    assert GlobalModel.objects.get() == model


def test_a_forged_backup_is_refused_by_all_and_taken_only_with_its_digest(
    model: GlobalModel, folder: BackupFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever can write to the folder can write digests that fit, and what is restored is run."""
    made = back_up(folder)
    values = json.loads((folder.backups / made.name / "manifest.json").read_text())
    planted = b"planted by somebody else"
    changes = [{**file, "size": len(planted), "sha256": sha256(planted).hexdigest()} for file in values["files"]]
    _rewrite(folder.backups / made.name, {**values, "files": changes}, folder)
    forged = BackupFolder(folder.path.with_name("changed"))
    forged.file(file_name_of(model)).write_bytes(planted)
    with pytest.raises(CommandError, match="somebody else may have written it"):
        command("verify", str(forged.path))
    with pytest.raises(BackupError, match="isn't the one that you named"):
        restore(folder, Permissions(replace=True, digest="0" * 64))
    manifest = (forged.backups / made.name / "manifest.json").read_bytes()
    with pytest.raises(BackupError, match="other bytes"):  # the storage's own file: everything else was accepted
        restore(forged, Permissions(replace=True, digest=sha256(manifest).hexdigest()))
    # The next backup takes nothing over from it, so its seal speaks for the server's own bytes.
    assert "Copied 1 new file (" in command(str(forged.path))
    assert "what only it has is copied again" in capsys.readouterr().err
    assert forged.file(file_name_of(model)).read_bytes() == content_of(file_name_of(model))
    assert "is good" in command("verify", str(forged.path))


def test_a_restore_that_was_interrupted_after_the_database_is_finished_by_another(
    model: GlobalModel, folder: BackupFolder
) -> None:
    made = back_up(folder)
    BackupHold.objects.create(pk=made.manifest.hold, until=timezone.now())  # as it is in the backup itself
    with pytest.raises(BackupError, match="isn't empty"):
        restore(folder)  # of this very server: its trail knows the backup
    with purging():
        AuditEntry.objects.all().delete()
    restore(folder)
    assert not BackupHold.objects.exists()
    assert AuditEntry.objects.get().verb == "restore"
    with pytest.raises(BackupError, match="isn't empty"):
        restore(folder)


def _rewrite(path: Path, values: dict[str, Any], folder: BackupFolder) -> None:
    """The same backup, but for what its manifest says, in another folder."""
    changed = BackupFolder(folder.path.with_name("changed"))
    shutil.rmtree(changed.path, ignore_errors=True)
    shutil.copytree(folder.path, changed.path)
    place = changed.backups / path.name
    text = json.dumps(values).encode()
    (place / "manifest.json").write_bytes(text)
    (place / "manifest.json.sha256").write_text(f"{sha256(text).hexdigest()}  manifest.json\n")


def test_two_at_once_in_one_folder_are_refused(model: GlobalModel, folder: BackupFolder) -> None:
    back_up(folder)
    with folder.lock():
        for words in ((str(folder.path),), ("verify", str(folder.path))):
            with pytest.raises(CommandError, match="Wait until it has ended"):
                command(*words)
