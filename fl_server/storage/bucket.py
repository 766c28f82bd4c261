"""Files in an S3-compatible bucket."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import create_transfer_manager
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import File
from django.utils.http import content_disposition_header
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError, S3UploadFailedError
from storages.backends.s3 import S3Storage
from storages.utils import clean_name
from urllib3.exceptions import HTTPError

from fl_server.storage.copies import Copies
from fl_server.storage.transfers import CHUNK, MB, Known, Lent, transfer_config
from fl_server_core.storage import PROBE, FarStorage, StorageUnavailable, storage_errors

NOT_FOUND = 404
MEMORY_BYTES = 64 * 1024
"""A larger part of a file is held on the disk."""
PART_MB = 16
TRIES = 3
OCTETS = "application/octet-stream"
DIGEST = "sha256"
"""What an object's metadata call the SHA-256 of its bytes."""
_UNREACHABLE = (
    BotoCoreError,
    Boto3Error,
    HTTPError,
    RetriesExceededError,
    S3DownloadFailedError,
    S3UploadFailedError,
)


def _client_config(addressing: str) -> Config:
    """A request's thread waits for the bucket: botocore's own patience is five tries of a minute each.

    Only the fourth version of signatures covers the headers that a signed address asks for.
    """
    return Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"total_max_attempts": TRIES, "mode": "standard"},
        signature_version="s3v4",
        s3={"addressing_style": addressing},
    )


def _quick_client_config(addressing: str) -> Config:
    """For a look at whether the bucket answers."""
    quick = Config(connect_timeout=1, read_timeout=1.5, retries={"total_max_attempts": 1})
    return _client_config(addressing).merge(quick)


class BucketStorage(S3Storage, FarStorage):  # type: ignore[misc]  # it has no types
    """A bucket that fails as a folder does: with FileNotFoundError where an object is missing, else StorageUnavailable.

    A file is fetched to this machine when it is opened: reading it later cannot fail any more, so no answer breaks off
    in its middle. Its SHA-256, which is stored with it, is compared then.
    """

    def get_default_settings(self) -> dict[str, Any]:
        return {
            **super().get_default_settings(),
            "max_memory_size": MEMORY_BYTES,
            "addressing_style": "auto",
            "part_mb": PART_MB,
            "public_endpoint_url": None,
            "direct_seconds": 0,
            "copies_bytes": 0,
        }

    def __init__(self, **options: Any) -> None:
        """Besides the options of S3Storage: part_mb, public_endpoint_url, direct_seconds, copies_bytes."""
        super().__init__(**options)
        self._options = options
        self.client_config = options.get("client_config") or _client_config(self.addressing_style)
        self.transfer_config = transfer_config(self.part_mb)

    def probe(self) -> None:
        """Raise an OSError unless the bucket answers, within seconds, and the disk takes what is on its way to it."""
        with storage_errors(), tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as file:
            file.write(b"probe")
            file.flush()
        self._quick.exists(PROBE)

    @cached_property
    def _quick(self) -> BucketStorage:
        return BucketStorage(**{**self._options, "client_config": _quick_client_config(self.addressing_style)})

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        if "w" in mode:
            with _failing_as_a_folder(name):
                written: File[bytes] = super()._open(name, mode)
            return written
        with storage_errors(), self.local_copy(name) as path:
            return File(path.open("rb"), name)

    def _save(self, name: str, content: File[Any]) -> str:
        """Store a file whole or not at all: what is larger than a part goes in parts, which a failure removes."""
        path = getattr(content, "temporary_file_path", None)
        with _failing_as_a_folder(name):
            cleaned = clean_name(name)
            about = {**self._get_write_parameters(cleaned, content), "Metadata": {DIGEST: _digest(content)}}
            content.seek(0)
            with create_transfer_manager(self._client, self.transfer_config) as transfers:
                source = Lent(content) if path is None else path()  # read where it lies, without a copy in memory
                transfers.upload(source, self.bucket_name, self._key(name), extra_args=about).result()
            if path is not None:
                self._copies.keep(cleaned, Path(path()))
        return str(cleaned)

    def exists(self, name: str) -> bool:
        with _failing_as_a_folder(name):
            return bool(super().exists(name))

    def delete(self, name: str) -> None:
        with _failing_as_a_folder(name):
            self._copies.forget(clean_name(name))
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

    def local_copy(self, name: str) -> AbstractContextManager[Path]:
        return self._copies.get(clean_name(name), partial(self._fetch_checked, name))

    def is_near(self, name: str) -> bool:
        return self._copies.has(clean_name(name))

    def fetch(self, name: str, path: Path) -> str:
        about = {"Bucket": self.bucket_name, "Key": self._key(name)}
        with _failing_as_a_folder(name):
            found = self._client.head_object(**about)
            known = Known(found["ContentLength"], found.get("ETag", ""))
            with create_transfer_manager(self._client, self.transfer_config) as transfers:
                transfers.download(about["Bucket"], about["Key"], str(path), subscribers=[known]).result()
        return str(found.get("Metadata", {}).get(DIGEST, ""))

    def open_part(self, name: str, part: range) -> IO[bytes]:
        """A connection that breaks costs what is missing, not what has arrived."""
        file: Any = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES, dir=str(settings.FILE_UPLOAD_TEMP_DIR))  # noqa: SIM115
        try:
            with _failing_as_a_folder(name):
                for tries_left in reversed(range(TRIES)):
                    try:
                        self._receive(name, range(part.start + file.tell(), part.stop), file)
                        break
                    except (BotoCoreError, HTTPError):
                        if not tries_left:
                            raise
        except BaseException:
            file.close()
            raise
        file.seek(0)
        opened: IO[bytes] = file
        return opened

    def signed_address(self, name: str, filename: str) -> str | None:
        if not self.direct_seconds:
            return None
        asked = {
            "Bucket": self.bucket_name,
            "Key": self._key(name),
            "ResponseContentType": OCTETS,
            "ResponseContentDisposition": str(content_disposition_header(True, filename)),
        }
        with _failing_as_a_folder(name):
            return str(
                self._public_client.generate_presigned_url("get_object", Params=asked, ExpiresIn=self.direct_seconds)
            )

    def tidy(self, folder: str, before: datetime) -> int:
        self._copies.tidy(before.timestamp())
        removed = 0
        with _failing_as_a_folder(folder):
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self.bucket_name, Prefix=f"{self._key(folder)}/"):
                for upload in page.get("Uploads", []):
                    if upload["Initiated"] < before:
                        about = {"Bucket": self.bucket_name, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                        self._client.abort_multipart_upload(**about)
                        removed += 1
        return removed

    @property
    def _client(self) -> Any:
        return self.connection.meta.client

    @cached_property
    def _public_client(self) -> Any:
        """It signs addresses and sends nothing: the host in them is another one where clients are elsewhere."""
        return self._create_session().client(
            "s3",
            region_name=self.region_name,
            endpoint_url=self.public_endpoint_url or self.endpoint_url,
            config=self.client_config,
        )

    @cached_property
    def _copies(self) -> Copies:
        return Copies(Path(settings.FILE_UPLOAD_TEMP_DIR) / "copies", self.copies_bytes)

    def _key(self, name: str) -> str:
        return str(self._normalize_name(clean_name(name)))

    def _fetch_checked(self, name: str, path: Path) -> None:
        expected = self.fetch(name, path)
        with storage_errors(), path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if expected not in ("", found):
            raise StorageUnavailable(f"The bucket's {name} is damaged: its SHA-256 is not the one it came with.")

    def _receive(self, name: str, part: range, file: IO[bytes]) -> None:
        found = self._client.get_object(
            Bucket=self.bucket_name, Key=self._key(name), Range=f"bytes={part.start}-{part.stop - 1}"
        )
        for chunk in found["Body"].iter_chunks(CHUNK):
            file.write(chunk)


def _digest(content: File[Any]) -> str:
    content.seek(0)
    total = hashlib.sha256()
    for chunk in content.chunks(MB):
        total.update(chunk if isinstance(chunk, bytes) else str(chunk).encode())
    return total.hexdigest()


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
