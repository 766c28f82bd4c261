"""Making a backup while the server runs: first the database, as of one moment, then the files that it names."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from fl_server.backup import postgres, sqlite
from fl_server.backup.copying import Copier
from fl_server.backup.exceptions import BackupError, unwritable
from fl_server.backup.folder import UNFINISHED, BackupFolder, digest_of, sync
from fl_server.backup.holding import Hold, Say, holding_files
from fl_server.backup.manifest import FORMAT, Manifest, Stored, new_key_check
from fl_server.backup.reading import Dump
from fl_server.backup.sealing import write_seal
from fl_server_core.models import AuditEntry, Credential
from fl_server_core.storage import StorageUnavailable


@dataclass(frozen=True)
class Made:
    """A backup that was made. copied: files and bytes that were not in the folder yet."""

    name: str
    manifest: Manifest
    digest: str
    copied: int
    copied_bytes: int


def dump_of_this_database() -> Dump:
    """How the configured database is written and read."""
    return postgres.DUMP if connection.vendor == "postgresql" else sqlite.DUMP


def make_backup(folder: BackupFolder, *, warn: Say) -> Made:
    """Add a backup to the folder. Files that an earlier backup copied aren't copied again.

    Raises:
        BackupError: it can't be made, or isn't good. Nothing of it is left but files, which the next one uses.
    """
    try:
        return _make_backup(folder, warn)
    except StorageUnavailable:  # it was read from, not written to
        raise
    except OSError as error:
        raise BackupError(unwritable(folder.path, error)) from error


def _make_backup(folder: BackupFolder, warn: Say) -> Made:
    dump = dump_of_this_database()
    dump.check()
    folder.make()
    name = timezone.now().strftime("%Y-%m-%dT%H%M%S.%fZ")
    with folder.lock(), holding_files(warn) as hold:
        folder.clear_unfinished()
        unfinished = folder.backups / f".{name}{UNFINISHED}"
        unfinished.mkdir(mode=0o700)
        try:
            manifest, copier = _write(folder, unfinished, dump, hold, warn)
            digest = manifest.write(unfinished)
            write_seal(unfinished, digest, settings.SECRET_KEY)
            sync(unfinished)
            unfinished.rename(folder.backups / name)
            sync(folder.backups)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    _note_in_trail(manifest, digest)
    return Made(name, manifest, digest, copier.copied, copier.copied_bytes)


def _write(folder: BackupFolder, place: Path, dump: Dump, hold: Hold, warn: Say) -> tuple[Manifest, Copier]:
    """Write the database, then copy the files, then describe both in the manifest."""
    started, began = timezone.now(), time.monotonic()
    contents = dump.write(place / dump.file_name)
    database = _described(place / dump.file_name, dump.file_name)
    copier = Copier(folder, hold, contents, warn)
    files = copier.copy_all()
    manifest = Manifest(
        format=FORMAT,
        made_at=started.isoformat(),
        seconds=round(time.monotonic() - began, 3),
        server=version("fl-server"),
        migrations=contents.migrations,
        engine=dump.engine,
        engine_version=contents.engine_version,
        installation=contents.installation,
        hold=str(hold.id) if hold.id else None,
        counts=contents.counts,
        database=database,
        files=files,
        lost=copier.lost,
        damaged=copier.damaged,
        **new_key_check(),
    )
    return manifest, copier


def _described(path: Path, name: str) -> Stored:
    return Stored(name, path.stat().st_size, digest_of(path))


def _note_in_trail(manifest: Manifest, digest: str) -> None:
    details = {"manifest": digest, "files": len(manifest.files), "bytes": manifest.size}
    with contextlib.suppress(DatabaseError):  # the database is older than the trail
        AuditEntry.objects.create(credential=Credential.SERVER, verb="backup", object_kind="server", details=details)
