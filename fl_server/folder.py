"""Files in a folder."""

from __future__ import annotations

from datetime import datetime
from typing import IO, Any

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from fl_server_core.storage import storage_errors


class FolderStorage(FileSystemStorage):
    """A folder that fails as a bucket does: with FileNotFoundError where a file is missing, else StorageUnavailable."""

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
