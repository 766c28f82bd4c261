"""Files in an S3-compatible bucket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from typing import Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError, S3UploadFailedError
from storages.backends.s3 import S3Storage

from fl_server_core.storage import PROBE, StorageUnavailable, storage_errors

NOT_FOUND = 404
MEMORY_BYTES = 64 * 1024
"""A larger file is held on the disk."""
CLIENT = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3, "mode": "standard"})
QUICK_CLIENT = Config(connect_timeout=1, read_timeout=1.5, retries={"total_max_attempts": 1})
"""For a look at whether the bucket answers."""
TRANSFERS = TransferConfig(num_download_attempts=2)
"""A request's thread waits for it: botocore's own patience is five tries of a minute each."""
_UNREACHABLE = (BotoCoreError, Boto3Error, RetriesExceededError, S3DownloadFailedError, S3UploadFailedError)


class BucketStorage(S3Storage):  # type: ignore[misc]  # it has no types
    """A bucket that fails as a folder does: with FileNotFoundError where an object is missing, else StorageUnavailable.

    A file is fetched whole, to the folder of uploads, when it is opened: reading it later cannot fail any more, so no
    answer breaks off in its middle.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        super().__init__(**options)

    def get_default_settings(self) -> dict[str, Any]:
        return {
            **super().get_default_settings(),
            "max_memory_size": MEMORY_BYTES,
            "client_config": CLIENT,
            "transfer_config": TRANSFERS,
        }

    def probe(self) -> None:
        """Raise an OSError unless the bucket answers, within seconds."""
        self._quick.exists(PROBE)

    @cached_property
    def _quick(self) -> BucketStorage:
        return BucketStorage(**{**self._options, "client_config": QUICK_CLIENT})

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        with _failing_as_a_folder(name):
            file: File[bytes] = super()._open(name, mode)
            try:
                if "r" in mode:
                    file.open(mode)
            except BaseException:
                file.close()
                raise
        return file

    def _save(self, name: str, content: File[Any]) -> str:
        with _failing_as_a_folder(name):
            return str(super()._save(name, content))

    def exists(self, name: str) -> bool:
        with _failing_as_a_folder(name):
            return bool(super().exists(name))

    def delete(self, name: str) -> None:
        with _failing_as_a_folder(name):
            super().delete(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        with _failing_as_a_folder(path):
            folders, files = super().listdir(path)
        return folders, files

    def size(self, name: str) -> int:
        with _failing_as_a_folder(name):
            return int(super().size(name))

    def get_modified_time(self, name: str) -> datetime:
        with _failing_as_a_folder(name):
            modified: datetime = super().get_modified_time(name)
        return modified


@contextlib.contextmanager
def _failing_as_a_folder(name: str) -> Iterator[None]:
    try:
        with storage_errors():  # of the disk that a file is fetched to
            yield
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == NOT_FOUND:
            raise FileNotFoundError(f"The bucket does not have {name}.") from error
        raise StorageUnavailable(f"The bucket refused {name}: {error}") from error
    except _UNREACHABLE as error:
        raise StorageUnavailable(f"The bucket could not be reached for {name}: {error}") from error
