"""Copying the files that a snapshot of the database names."""

from __future__ import annotations

from django.conf import settings

from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import BackupFolder, digest_of, write_whole
from fl_server.backup.holding import Hold, Say
from fl_server.backup.manifest import Manifest, Stored, read_manifest_and_digest
from fl_server.backup.reading import Contents
from fl_server.backup.sealing import is_sealed
from fl_server.backup.stored import blocks_of, open_stored_bytes


class Copier:
    """Copies files from the storage into the folder, unless they are there."""

    def __init__(self, folder: BackupFolder, hold: Hold, contents: Contents, warn: Say) -> None:
        self.lost: list[str] = []
        self.damaged: list[str] = []
        self.copied = self.copied_bytes = 0
        self._folder, self._hold, self._contents = folder, hold, contents
        self._known: dict[str, Stored] = {}
        self._known_damaged: set[str] = set()
        for manifest in _sealed_manifests(folder, warn):
            self._known.update({file.name: file for file in manifest.files})
            self._known_damaged.update(manifest.damaged)

    def copy_all(self) -> list[Stored]:
        """The files that the snapshot names, as they are in the folder now, and on the disk."""
        found = []
        for name, expected in sorted(self._contents.names.items()):
            file = self._copy(name, expected)
            if file is None:
                self.lost.append(name)
            else:
                found.append(file)
        self._folder.sync_files()
        if self.lost:
            self._explain_losses(everything=not found)
        return found

    def _explain_losses(self, *, everything: bool) -> None:
        if everything:
            raise BackupError(
                f"The storage has none of the {len(self.lost)} files that the database names. Does this command have "
                "the settings of the server (FL_DATA_DIR, FL_S3_BUCKET)?"
            )
        self._hold.renew()
        if self._hold.is_lost:
            raise BackupError(
                f"Files were removed while they were copied ({len(self.lost)}, such as {self.lost[0]}). Make the "
                "backup again; what was copied is kept."
            )

    def _copy(self, name: str, expected: str) -> Stored | None:
        """None: the server has lost it. expected: its digest according to the database, or ""."""
        path = self._folder.file(name)
        known = self._known.get(name)
        if path.is_file() and known is not None and path.stat().st_size == known.size:
            if name in self._known_damaged or expected not in ("", known.sha256):
                self.damaged.append(name)
            return known
        # Of a backup that did not get to its manifest, or put there by somebody else: the database can tell.
        if path.is_file() and known is None and expected and digest_of(path) == expected:
            return Stored(name, path.stat().st_size, expected)
        try:
            with open_stored_bytes(name) as (source, digest):
                file = Stored(name, *write_whole(path, blocks_of(source)))
        except FileNotFoundError:
            return None
        if file.sha256 != (expected or digest or file.sha256):
            self.damaged.append(name)
        self.copied += 1
        self.copied_bytes += file.size
        return file


def _sealed_manifests(folder: BackupFolder, warn: Say) -> list[Manifest]:
    """What earlier backups say of the files that they share. One that isn't good or isn't ours is passed over."""
    found = []
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    for path in (folder.backups / name for name in folder.names()):
        try:
            manifest, digest = read_manifest_and_digest(path)
        except BackupError as error:
            warn(f"An earlier backup isn't good: {error}")
            continue
        if is_sealed(path, digest, keys):
            found.append(manifest)
        else:
            warn(f"{path} isn't sealed by this server's secret key: what only it has is copied again.")
    return found
