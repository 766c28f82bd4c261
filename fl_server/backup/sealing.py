"""Has this server written a backup? Its seal tells: a keyed hash of the manifest, which holds the digests of all else.

The key is the server's secret key, which isn't in the backup. So whoever can write to the folder can destroy backups,
but can't make one that a restore takes: a dump of PostgreSQL is a program, and what is in the database decides who may
sign in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from django.utils.crypto import constant_time_compare, salted_hmac

from fl_server.backup.folder import write_whole

SEAL_NAME = "manifest.json.seal"


def write_seal(folder: Path, digest: str, key: str) -> None:
    """Seal a manifest, by its digest, for good."""
    write_whole(folder / SEAL_NAME, [f"{_seal(digest, key)}\n".encode()])


def is_sealed(folder: Path, digest: str, keys: Sequence[str]) -> bool:
    """Did somebody who has one of these secret keys write the manifest with this digest?"""
    try:
        found = (folder / SEAL_NAME).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return False
    return any(constant_time_compare(_seal(digest, key), found) for key in keys)


def _seal(digest: str, key: str) -> str:
    return salted_hmac("fl_server.backup.seal", digest, secret=key, algorithm="sha256").hexdigest()
