"""Why a backup or a restore was given up. Each message says what to do."""

from __future__ import annotations

import errno
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BackupError(Exception):
    """A backup can't be made, isn't good, or can't be restored here."""


def unwritable(folder: Path, error: OSError) -> str:
    """The sentence for a folder with backups that takes no more, or fails."""
    if error.errno in FULL:
        return full(folder, error.strerror or "")
    return f"{folder} can't be written to: {error.strerror or error}. No backup was made."


def full(folder: Path, reason: str) -> str:
    """The sentence for a folder with backups whose disk is full."""
    return (
        f"{folder} takes no more ({reason}). No backup was made. Make room there, for example with "
        f"`fl-server backup prune {folder} --keep 7`, and try again."
    )
