"""Making a backup while the server runs: first the database, as of one moment, then the files that it names."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection
from django.utils import timezone

from fl_server.backup import postgres, sqlite
from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import BLOCK, UNFINISHED, BackupFolder, digest_of, sync, write_whole
from fl_server.backup.manifest import (
    FORMAT,
    Manifest,
    Stored,
    new_key_check,
    read_manifest,
    read_manifest_and_digest,
)
from fl_server.backup.reading import Contents, Dump
from fl_server.backup.sealing import is_sealed, write_seal
from fl_server_core.models import AuditEntry, BackupHold, Credential
from fl_server_core.services.backup_holds import begin_hold, end_hold, renew_hold
from fl_server_core.storage import storage_errors

RENEW_SECONDS = 20.0
Say = Callable[[str], None]


@dataclass
class Hold:
    """Keeps files that lose their row until the backup has copied them. Call `beat` often: it renews the hold."""

    id: UUID | None
    is_lost: bool = False
    _renewed: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        if time.monotonic() - self._renewed > RENEW_SECONDS:
            self.renew()

    def renew(self) -> None:
        """Also notes whether it had run out: this process may have been suspended for a while."""
        self._renewed = time.monotonic()
        self.is_lost |= self.id is None or not renew_hold(self.id)


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
    dump = dump_of_this_database()
    dump.check()
    folder.make()
    name = timezone.now().strftime("%Y-%m-%dT%H%M%S.%fZ")
    with folder.lock(), _holding_files(warn) as hold:
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
    contents = dump.write(place / dump.file_name, hold.beat)
    database = _described(place / dump.file_name, dump.file_name, hold.beat)
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


@contextlib.contextmanager
def _holding_files(warn: Say) -> Iterator[Hold]:
    if BackupHold._meta.db_table not in connection.introspection.table_names():
        warn(
            "The database is of an older version of the server, which removes files while they are copied. If this "
            "fails, stop the server and try again."
        )
        yield Hold(None)
        return
    hold = Hold(begin_hold())
    try:
        yield hold
    finally:
        with contextlib.suppress(DatabaseError):  # it then ends by itself
            end_hold(hold.id)  # type: ignore[arg-type]  # it was given one


class Copier:
    """Copies files from the storage into the folder, unless they are there."""

    def __init__(self, folder: BackupFolder, hold: Hold, contents: Contents, warn: Say) -> None:
        self.lost: list[str] = []
        self.damaged: list[str] = []
        self.copied = self.copied_bytes = 0
        self._folder, self._hold, self._contents = folder, hold, contents
        self._known = _sealed_files(folder, warn)

    def copy_all(self) -> list[Stored]:
        """The files that the snapshot names, as they are in the folder now."""
        found = []
        for name, expected in sorted(self._contents.names.items()):
            file = self._copy(name, expected)
            if file is None:
                self.lost.append(name)
                continue
            if expected and file.sha256 != expected:
                self.damaged.append(name)
            found.append(file)
        if self.lost and not found:
            raise BackupError(
                f"The storage has none of the {len(self.lost)} files that the database names. Does this command have "
                "the settings of the server (FL_DATA_DIR, FL_S3_BUCKET)?"
            )
        if self.lost:
            self._hold.renew()
        if self.lost and self._hold.is_lost:
            raise BackupError(
                f"Files were removed while they were copied ({len(self.lost)}, such as {self.lost[0]}). Make the "
                "backup again; what was copied is kept."
            )
        return found

    def _copy(self, name: str, expected: str) -> Stored | None:
        path = self._folder.file(name)
        known = self._known.get(name)
        if path.is_file() and known is not None and path.stat().st_size == known.size:
            return known
        # Of a backup that did not get to its manifest, or put there by somebody else: the database can tell.
        if path.is_file() and known is None and expected and digest_of(path, self._hold.beat) == expected:
            return Stored(name, path.stat().st_size, expected)
        try:
            size, digest = write_whole(path, self._blocks(name))
        except FileNotFoundError:
            return None
        self.copied += 1
        self.copied_bytes += size
        return Stored(name, size, digest)

    def _blocks(self, name: str) -> Iterator[bytes]:
        with storage_errors(), default_storage.open(name, "rb") as file:
            while block := file.read(BLOCK):
                self._hold.beat()
                yield block


def _sealed_files(folder: BackupFolder, warn: Say) -> dict[str, Stored]:
    """What earlier backups say of the files that they share. One that isn't good or isn't ours is passed over."""
    known: dict[str, Stored] = {}
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    for path in (folder.backups / name for name in folder.names()):
        try:
            manifest, digest = read_manifest_and_digest(path)
        except BackupError as error:
            warn(f"An earlier backup isn't good: {error}")
            continue
        if is_sealed(path, digest, keys):
            known.update({file.name: file for file in manifest.files})
        else:
            warn(f"{path} isn't sealed by this server's secret key: what only it has is copied again.")
    return known


def _described(path: Path, name: str, on_progress: Callable[[], None]) -> Stored:
    return Stored(name, path.stat().st_size, digest_of(path, on_progress))


def _note_in_trail(manifest: Manifest, digest: str) -> None:
    details = {"manifest": digest, "files": len(manifest.files), "bytes": manifest.size}
    with contextlib.suppress(DatabaseError):  # the database is older than the trail
        AuditEntry.objects.create(credential=Credential.SERVER, verb="backup", object_kind="server", details=details)


def prune_backups(folder: BackupFolder, *, keep: int) -> tuple[int, int]:
    """Remove all but the newest backups, then the files that no remaining one names. Returns: how many of each."""
    with folder.lock():
        old = folder.names()[:-keep]
        for name in old:
            doomed = folder.backups / f".{name}{UNFINISHED}"  # so that no half-removed backup keeps its name
            (folder.backups / name).rename(doomed)
            shutil.rmtree(doomed)
        manifests = [read_manifest(folder.backups / name) for name in folder.names()]
        named = {folder.file(file.name) for manifest in manifests for file in manifest.files}
        removed = 0
        for path in folder.files.rglob("*"):
            if path.is_file() and path not in named:
                path.unlink()
                removed += 1
    return len(old), removed
