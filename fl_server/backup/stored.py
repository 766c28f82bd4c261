"""What is in the file storage itself: a bucket's own bytes, not the copies that this machine keeps of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.files.base import File
from django.core.files.storage import default_storage

from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import BLOCK
from fl_server.backup.manifest import Stored
from fl_server_core.services.files import scratch_path
from fl_server_core.storage import FarStorage, storage_errors

Readable = IO[bytes] | File[Any]


@contextmanager
def open_stored_bytes(name: str) -> Iterator[tuple[Readable, str]]:
    """A file of the storage, and the SHA-256 that it was stored with, where the storage knows it (else "").

    A copy on this machine may be whole where the bucket's file is damaged or gone. And to read all files must not push
    out the copies that the server works with.

    Raises:
        FileNotFoundError, StorageUnavailable: it is missing, or the storage fails.
    """
    if isinstance(default_storage, FarStorage):
        with scratch_path() as path:
            digest = default_storage.fetch(name, path)
            with path.open("rb") as copy:
                yield copy, digest
    else:
        with default_storage.open(name, "rb") as file:
            yield file, ""


def blocks_of(file: Readable) -> Iterator[bytes]:
    """What is in such a file. Raises StorageUnavailable."""
    with storage_errors():
        while block := file.read(BLOCK):
            yield block


def store(source: Path, file: Stored) -> bool:
    """Put a file of a backup into the storage under its own name. False: it is there.

    A bucket compares each part with its checksum while it is stored, so it isn't read again afterwards.

    Raises:
        BackupError: another file has that name.
    """
    if default_storage.exists(file.name):
        if _is_same(file):
            return False
        if not _is_beginning_of(source, file):
            raise BackupError(
                f"The storage has a file {file.name} with other bytes. Files never change under their name: it is "
                "damaged. Remove it, and restore again."
            )
        default_storage.delete(file.name)  # what a restore that was killed left
    with source.open("rb") as content, storage_errors():
        name = default_storage.save(file.name, File(content))
    if name != file.name:
        raise BackupError(f"The storage calls {file.name} {name}. Does a server run on it? Stop it first.")
    return True


def _is_same(file: Stored) -> bool:
    if default_storage.size(file.name) != file.size:
        return False
    total = hashlib.sha256()
    with open_stored_bytes(file.name) as (stored, _):
        for block in blocks_of(stored):
            total.update(block)
    return total.hexdigest() == file.sha256


def _is_beginning_of(source: Path, file: Stored) -> bool:
    if default_storage.size(file.name) >= file.size:
        return False
    with open_stored_bytes(file.name) as (stored, _), source.open("rb") as content:
        return all(block == content.read(len(block)) for block in blocks_of(stored))
