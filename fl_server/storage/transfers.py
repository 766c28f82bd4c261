"""How a file goes to a bucket and comes from there: in parts, several at a time."""

from __future__ import annotations

from typing import Any

from boto3.s3.transfer import TransferConfig
from s3transfer.subscribers import BaseSubscriber
from storages.utils import ReadBytesWrapper

MB = 1024 * 1024
CHUNK = 256 * 1024
THREADS = 4


def transfer_config(part_mb: int) -> TransferConfig:
    """Memory for a transfer: THREADS parts of an upload that is not a file, 8 MB of a download."""
    return TransferConfig(
        multipart_threshold=part_mb * MB,
        multipart_chunksize=part_mb * MB,
        max_concurrency=THREADS,
        num_download_attempts=2,
        io_chunksize=CHUNK,
        max_io_queue=32,
    )


class Lent(ReadBytesWrapper):  # type: ignore[misc]  # it has no types
    """A file that a transfer reads, and must not close."""

    def close(self) -> None:
        """Its owner does."""


class Known(BaseSubscriber):  # type: ignore[misc]  # it has no types
    """Spares a transfer its look at the object, and holds all of its parts to the same one."""

    def __init__(self, size: int, etag: str) -> None:
        """size: in bytes. etag: of the object."""
        self._size, self._etag = size, etag

    def on_queued(self, future: Any, **_: Any) -> None:
        """The transfer is about to begin."""
        future.meta.provide_transfer_size(self._size)
        if self._etag:  # some stores have none
            future.meta.provide_object_etag(self._etag)
