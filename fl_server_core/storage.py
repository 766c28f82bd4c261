"""What the file storage fails with, whatever it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

PROBE = "probe"
"""No file has this name. To ask for it tells whether a storage answers."""


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
