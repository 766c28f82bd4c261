"""Files that rows name: stored, opened and, once no row names them, removed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import InterfaceError, OperationalError, connection, transaction

from fl_server_core.archive import Archive, open_archive
from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models.files import new_file_name
from fl_server_core.models.model import GlobalModel, LocalModel
from fl_server_core.models.model_version import ModelVersion, StoredWeights, VersionFile
from fl_server_core.models.stored_file import StoredFile
from fl_server_core.selectors.models import find_model
from fl_server_core.services.backup_holds import are_files_held
from fl_server_core.storage import FarStorage, storage_errors

if TYPE_CHECKING:
    from types import TracebackType

    from django.db.models.fields.files import FieldFile

    _BytesFile = File[bytes]
else:
    _BytesFile = File  # not generic at run time

logger = logging.getLogger(__name__)


class _OwnFile(_BytesFile):
    """A file that storage may move instead of copying it, as it does with uploads."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb"), name=path.name)
        self._path = path

    def temporary_file_path(self) -> str:
        return str(self._path)


@dataclass
class NewFiles:
    """Files stored before the transaction that names them: if the block fails, they are removed again."""

    names: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)  # bytes, by name

    def store(self, file: File[bytes]) -> str:
        """Write a file under a new name in the default storage and say the name."""
        file.seek(0)
        name = default_storage.save(new_file_name(None, ""), file)
        self.names.append(name)
        self.sizes[name] = file.size
        return name

    def store_path(self, path: Path) -> str:
        """Move a file of our own into the default storage under a new name."""
        with _OwnFile(path) as file:
            return self.store(file)

    def store_weights(self, path: Path) -> StoredWeights:
        """Move a file of our own that holds weights into the default storage."""
        with _OwnFile(path) as file:
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
            return StoredWeights(self.store(file), digest, size)

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
        self.sizes.clear()


@dataclass
class _Unnamed:
    """Removes files after the commit, unless a row still names them. One for each transaction."""

    names: list[str] = field(default_factory=list)

    def __call__(self) -> None:
        # Copies of a model and restored versions name the same files.
        weights = ModelVersion.objects.filter(weights_file__in=self.names).values_list("weights_file", flat=True)
        parts = VersionFile.objects.filter(file__in=self.names).values_list("file", flat=True)
        models = GlobalModel.objects.non_polymorphic().filter(preprocessing_file__in=self.names)
        named = {*weights, *parts, *models.values_list("preprocessing_file", flat=True)}
        unnamed = set(self.names) - named
        if unnamed and are_files_held():
            logger.info("A backup runs: %s files are left to the sweep for orphans.", len(unnamed))
            return
        for name in unnamed:
            try:
                default_storage.delete(name)
            except OSError:
                logger.warning("Could not remove %s; the sweep for orphans will.", name)
        StoredFile.objects.filter(name__in=unnamed).delete()


def forget_files(names: Collection[str]) -> None:
    """These files are not named any more by the rows that did: remove them after the commit, unless others do."""
    if not names:
        return
    waiting = next((queued for queued in map(_forgotten_here, connection.run_on_commit) if queued), None)
    if waiting is not None:
        waiting.names.extend(names)
    else:  # outside a transaction this is done at once, so with the names
        transaction.on_commit(_Unnamed(list(names)), robust=True)


def _forgotten_here(entry: Sequence[Any]) -> _Unnamed | None:
    """What a hook for the commit will remove, if it is one that is dropped with the present savepoint."""
    savepoints, function, *_rest = entry
    is_of_here = set(savepoints) - {None} == set(connection.savepoint_ids) - {None}
    return function if is_of_here and isinstance(function, _Unnamed) else None


@contextlib.contextmanager
def local_path(file: FieldFile) -> Iterator[Path]:
    """A path under which the file can be mapped: its own, or of a copy where the storage is not a folder.

    Raises:
        FileNotFoundError: the file is not in the storage.
        StorageUnavailable: the storage fails.
    """
    storage = file.storage
    if isinstance(storage, FileSystemStorage):
        yield Path(file.path)
    elif isinstance(storage, FarStorage):
        with storage.local_copy(str(file.name)) as path:
            yield path
    else:
        with scratch_path() as copy:
            with storage_errors(), file.open("rb") as source, copy.open("wb") as target:
                for chunk in source.chunks():
                    target.write(chunk)
            yield copy


@contextlib.contextmanager
def open_stored(file: FieldFile, like: Archive | None = None) -> Iterator[Archive]:
    """The archive in a stored file; one that is `like` another is opened faster.

    Raises:
        ArchiveError: the file cannot be read as an archive.
        FileNotFoundError, StorageUnavailable: the file is missing, or the storage fails.
    """
    with local_path(file) as path:
        with storage_errors():
            archive = open_archive(path, like=like)
        with archive:
            yield archive


@contextlib.contextmanager
def open_weights(model: GlobalModel | LocalModel) -> Iterator[Archive]:
    """The archive of a model's weights; of a global model, those of the version that its row names.

    Raises:
        ArchiveError: the file cannot be read.
        FileNotFoundError: there is none.
        EntityNotFound: the model is gone.
    """
    if not model.weights_file and find_model(model.pk) is None:
        raise EntityNotFound("Model", model.pk)  # deleted since it was read
    if not model.weights_file:
        raise FileNotFoundError(f"Model {model.pk} has no weights.")
    with open_stored(model.weights_file) as archive:
        yield archive


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
