"""Files in a folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from fl_server.settings.data_dir import read_or_make_token
from fl_server_core.storage import StorageUnavailable, storage_errors

TOKEN = "folder_token"  # noqa: S105  a file's name
"""The file that tells one folder from another: made once, when the server is started on it."""
_marked: set[Path] = set()


def mark_folder(folder: Path) -> str:
    """The folder's token. A folder without it is another one from now on, as far as this process can tell."""
    token = read_or_make_token(folder / TOKEN)
    if (folder / TOKEN).exists():  # not every file system lets us make it
        _marked.add(folder)
    return token


class FolderStorage(FileSystemStorage):
    """A folder that fails as a bucket does: with FileNotFoundError where a file is missing, else StorageUnavailable."""

    def probe(self) -> None:
        """Raise an OSError unless the folder is the one that the server was started on, and takes files.

        An empty folder stands where a volume is no longer mounted: files that it takes would be lost.
        """
        with storage_errors(), TemporaryFile(dir=self.location) as file:
            file.write(b"probe")
            file.flush()
        if Path(self.location) in _marked and not (Path(self.location) / TOKEN).exists():
            raise StorageUnavailable(f"{self.location} is not the folder that the server was started on.")

    def open(self, name: str, mode: str = "rb") -> File[Any]:
        with storage_errors():
            return super().open(name, mode)

    def save(self, name: str | None, content: IO[Any], max_length: int | None = None) -> str:
        with storage_errors():
            return super().save(name, content, max_length)

    def exists(self, name: str) -> bool:
        with storage_errors():
            return super().exists(name)

    def delete(self, name: str) -> None:
        with storage_errors():
            super().delete(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        with storage_errors():
            folders, files = super().listdir(path)
        return folders, files

    def size(self, name: str) -> int:
        with storage_errors():
            return super().size(name)

    def get_modified_time(self, name: str) -> datetime:
        with storage_errors():
            return super().get_modified_time(name)
