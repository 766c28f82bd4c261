"""What a backup says of itself: ``manifest.json``, and its own digest beside it as ``sha256sum`` writes it."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import write_whole

FORMAT = 1
NAME = "manifest.json"
DIGEST_NAME = "manifest.json.sha256"


@dataclass(frozen=True)
class Stored:
    """A file: its name, bytes, and SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A backup's description.

    server: version of the package. migrations: "app.name" of those that had been applied. engine: sqlite or postgresql,
    with its version. key_salt, key_check: they tell the secret key without telling it. counts: rows by what they are.
    files: what the database names. lost: names of files that the server itself did not have any more. damaged: those
    that are not what was stored, according to the database's own digests.
    """

    format: int
    made_at: str
    seconds: float
    server: str
    migrations: list[str]
    engine: str
    engine_version: str
    installation: str
    key_salt: str
    key_check: str
    hold: str | None
    counts: dict[str, int]
    database: Stored
    files: list[Stored]
    lost: list[str]
    damaged: list[str]

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.made_at)

    @property
    def size(self) -> int:
        """Bytes of the database and the files."""
        return self.database.size + sum(file.size for file in self.files)

    def write(self, folder: Path) -> str:
        """Write it into a backup's folder. Returns: its digest."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()
        _, digest = write_whole(folder / NAME, [text])
        write_whole(folder / DIGEST_NAME, [f"{digest}  {NAME}\n".encode()])
        return digest


def read_manifest(folder: Path) -> Manifest:
    """As `read_manifest_and_digest`, the manifest alone."""
    return read_manifest_and_digest(folder)[0]


def read_manifest_and_digest(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a backup's folder, and the SHA-256 of the very bytes that it was read from.

    Raises:
        BackupError: it is missing, not as it was written, or of a newer server.
    """
    try:
        content = (folder / NAME).read_bytes()
        expected = (folder / DIGEST_NAME).read_text(encoding="ascii", errors="replace").split(" ")[0].strip()
    except FileNotFoundError as error:
        raise BackupError(f"{folder} is not a whole backup: {Path(error.filename).name} is missing.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise BackupError(f"{folder / NAME} is not as it was written: its digest is another one.")
    found = json.loads(content)
    if found["format"] > FORMAT:
        raise BackupError(
            f"The backup is of fl-server {found['server']}, which is newer than this one. Install that version, or a "
            "newer one, and restore with it."
        )
    found["database"] = Stored(**found["database"])
    found["files"] = [Stored(**file) for file in found["files"]]
    return Manifest(**found), digest


def digest_of_manifest(folder: Path) -> str:
    """SHA-256 of the manifest's file, as `Manifest.write` returns it."""
    return hashlib.sha256((folder / NAME).read_bytes()).hexdigest()


def key_check(salt: str, key: str) -> str:
    """What the manifest holds of a secret key: 64 hexadecimal digits, from which the key can't be computed."""
    return salted_hmac("fl_server.backup", salt, secret=key, algorithm="sha256").hexdigest()


def new_key_check() -> dict[str, Any]:
    """The two entries for the present key."""
    salt = secrets.token_hex(16)
    return {"key_salt": salt, "key_check": key_check(salt, settings.SECRET_KEY)}


def is_of_this_key(manifest: Manifest, keys: Sequence[str]) -> bool:
    """Is one of these the key of the server that was backed up?"""
    return any(constant_time_compare(key_check(manifest.key_salt, key), manifest.key_check) for key in keys)
