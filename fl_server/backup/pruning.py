"""Removing backups, the oldest first."""

from __future__ import annotations

import shutil

from fl_server.backup.folder import UNFINISHED, BackupFolder
from fl_server.backup.manifest import read_manifest


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
