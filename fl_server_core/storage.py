"""What the file storage fails with, whatever it is."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import IO

OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE})
"""Full, read-only, broken or gone."""
PROBE = "probe"
"""A name that no file has. Asking for it shows whether the storage answers."""


class StorageUnavailable(OSError):
    """Files cannot be read or written; a file that is missing is a FileNotFoundError instead."""


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Tell errors of the disk from others: in this block, each OSError is one."""
    try:
        yield
    except (FileNotFoundError, StorageUnavailable):
        raise
    except OSError as error:
        reason = error.args if error.errno is None else (error.errno, error.strerror, error.filename)
        raise StorageUnavailable(*reason) from error


def is_of_storage(error: BaseException) -> bool:
    """Is it the storage or the disk that fails, whoever was writing there?"""
    return isinstance(error, StorageUnavailable) or (isinstance(error, OSError) and error.errno in OF_THE_DISK)


class FarStorage:
    """The interface of a storage whose files aren't in a folder of this machine. Names are those of the storage."""

    def local_copy(self, name: str) -> AbstractContextManager[Path]:
        """A path with the file's bytes on this machine, read-only. Raises FileNotFoundError, StorageUnavailable."""
        raise NotImplementedError

    def is_near(self, name: str) -> bool:
        """Is there a copy on this machine already?"""
        raise NotImplementedError

    def fetch(self, name: str, path: Path) -> str:
        """Write the bytes that are in the storage now, whatever they are, to `path`: no copy is read or kept.

        Returns the SHA-256 that they were stored with, or "". Raises as `local_copy`, but not for damaged bytes.
        """
        raise NotImplementedError

    def open_part(self, name: str, part: range) -> IO[bytes]:
        """Open these bytes of the file, fetched before this returns. Raises as `local_copy`."""
        raise NotImplementedError

    def signed_address(self, name: str, filename: str) -> str | None:
        """A URL at which anyone may fetch the file for a while, to be kept as `filename`; None if there are none."""
        raise NotImplementedError

    def tidy(self, folder: str, before: datetime) -> int:
        """Remove the parts of uploads to `folder` that were begun before and never ended; returns how many uploads.

        Copies on this machine that were not used since then go, too.
        """
        raise NotImplementedError
