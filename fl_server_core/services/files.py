from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import InterfaceError, OperationalError

from fl_server_core.archive import Archive, open_archive
from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models.files import new_file_name
from fl_server_core.models.model import Model
from fl_server_core.storage import storage_errors

if TYPE_CHECKING:
    from types import TracebackType

    from django.db.models.fields.files import FieldFile

    _BytesFile = File[bytes]
else:
    _BytesFile = File  # not generic at run time

logger = logging.getLogger(__name__)
OPEN_ATTEMPTS = 3


class _OwnFile(_BytesFile):
    """A file that storage may move instead of copying it, as it does with uploads."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb"), name=path.name)
        self._path = path

    def temporary_file_path(self) -> str:
        return str(self._path)


class NewFiles:
    """Files stored before the transaction that names them: if the block fails, they are removed again."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def store(self, file: File[bytes]) -> str:
        """Write a file under a new name in the default storage and say the name."""
        file.seek(0)
        name = default_storage.save(new_file_name(None, ""), file)
        self.names.append(name)
        return name

    def store_path(self, path: Path) -> str:
        """Move a file of our own into the default storage under a new name."""
        with _OwnFile(path) as file:
            name = default_storage.save(new_file_name(None, ""), file)
        self.names.append(name)
        return name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Of a transaction whose connection broke nobody knows whether it was committed: the sweep for orphans decides.
        if kind is not None and not isinstance(error, (InterfaceError, OperationalError)):
            self.discard()

    def discard(self) -> None:
        """Remove the files: no row will name them."""
        for name in self.names:
            try:
                default_storage.delete(name)
            except OSError:
                logger.warning("Could not remove %s; the sweep for orphans will.", name)
        self.names.clear()


@contextlib.contextmanager
def local_path(file: FieldFile) -> Iterator[Path]:
    """A path under which the file can be mapped: its own, or of a copy where the storage is not a folder.

    Raises:
        FileNotFoundError: the file is gone; the row has a newer one by now.
    """
    if isinstance(file.storage, FileSystemStorage):
        yield Path(file.path)
        return
    with scratch_path() as copy:
        with storage_errors(), file.open("rb") as source, copy.open("wb") as target:
            for chunk in source.chunks():
                target.write(chunk)
        yield copy


@contextlib.contextmanager
def open_weights(model: Model) -> Iterator[Archive]:
    """The archive of a model's weights, as it is now.

    A file that is gone has been replaced since the row was read, by a round that was closed: the row is read again.

    Raises:
        EntityNotFound: the model itself is gone.
        ArchiveError: the file cannot be read.
    """
    with contextlib.ExitStack() as stack:
        for _attempt in range(OPEN_ATTEMPTS - 1):
            try:
                archive = _open(stack, model)
                break
            except FileNotFoundError:
                _read_again(model)
        else:
            archive = _open(stack, model)
        yield archive


def _open(stack: contextlib.ExitStack, model: Model) -> Archive:
    path = stack.enter_context(local_path(model.weights_file))
    with storage_errors():
        return stack.enter_context(open_archive(path))


def _read_again(model: Model) -> None:
    try:
        model.refresh_from_db(fields=["weights_file"])
    except Model.DoesNotExist:
        raise EntityNotFound("Model", model.pk) from None


@contextlib.contextmanager
def scratch_path() -> Iterator[Path]:
    """A path for a file of our own in the upload folder; whatever is there at the end is removed."""
    with storage_errors():
        handle, name = tempfile.mkstemp(dir=settings.FILE_UPLOAD_TEMP_DIR, suffix=".pt")
        os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def uploaded_source(file: UploadedFile[bytes]) -> str | bytes:
    """What the archive reader takes of an upload: the path of its temporary file, or its bytes where it is small."""
    path = getattr(file, "temporary_file_path", None)
    if path is not None:
        return str(path())
    file.seek(0)
    return bytes(file.read())


def digest_of(*files: IO[bytes] | File[bytes]) -> str:
    """SHA-256 over the files' bytes, one after the other, as hexadecimal digits."""
    total = hashlib.sha256()
    for file in files:
        file.seek(0)
        while chunk := file.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()
