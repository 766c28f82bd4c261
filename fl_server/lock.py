"""One server at a time on a data folder, as long as its worker lives inside it."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

POLL_SECONDS = 0.1


class DataFolderInUseError(Exception):
    """Another server holds the data folder."""


def lock_data_folder(data_dir: Path, *, patience: float, on_wait: Callable[[], None]) -> int:
    """Hold `serve.lock` for as long as this process or a fork of it lives; returns its file descriptor.

    The operating system lets go of the lock when the last holder ends, however it ends. The worker of a server that was
    killed notices within a second or two that it is an orphan: it is given `patience` seconds, after `on_wait`.
    Raises `DataFolderInUseError`, and `OSError` where the file cannot be made.
    """
    descriptor = os.open(data_dir / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    is_waiting = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise DataFolderInUseError(data_dir) from None
        else:
            return descriptor
        if not is_waiting:
            is_waiting = True
            on_wait()
        time.sleep(POLL_SECONDS)
