"""One server at a time on a data folder, as long as its worker lives inside it."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

POLL_SECONDS = 0.1


class DataFolderInUseError(Exception):
    """Another server holds the data folder."""


def lock_data_folder(data_dir: Path, *, patience: float, on_wait: Callable[[], None]) -> None:
    """Hold the data folder for as long as this process, or a fork of it, lives.

    Two locks, which the operating system lets go of however their holders end. A POSIX lock belongs to one process: it
    tells whether a server runs. A lock by flock is inherited by forks: it tells whether the worker of a server that was
    killed still runs. Such a worker notices within a second or two that it is an orphan, and is given `patience`
    seconds, after `on_wait`.

    Raises `DataFolderInUseError`, at once if the other server itself lives, and `OSError` where no file can be made.
    """
    own = _open(data_dir / "serve.lock")
    shared = _open(data_dir / "serve-forks.lock")
    try:
        fcntl.lockf(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        is_ours = False
    else:
        is_ours = _outlive_orphans(shared, patience, on_wait)
    if not is_ours:
        os.close(own)
        os.close(shared)
        raise DataFolderInUseError(data_dir)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _outlive_orphans(descriptor: int, patience: float, on_wait: Callable[[], None]) -> bool:
    if try_to_lock(descriptor):
        return True
    on_wait()
    deadline = time.monotonic() + patience
    while not try_to_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def try_to_lock(descriptor: int) -> bool:
    """Lock an open file by flock. False: somebody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
