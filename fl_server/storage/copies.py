"""Copies of a bucket's files on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from uuid import uuid4

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LOCKS = 64
UNUSED_SECONDS = 24 * 3600
"""A copy that wasn't used for this long is removed: another machine may have deleted its file."""


class Copies:
    """A folder of copies. The least recently used ones make room for others.

    A stored file never changes under its name, so a copy is never out of date. Each reader gets a link of its own:
    the copy may be removed, by any process, while it is read. Nothing waits for the disk, so a loss of power may damage
    copies: each boot of the machine begins with an empty folder.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """limit: bytes of all copies together; 0: none are kept."""
        self._root, self._limit = folder, limit
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    @cached_property
    def _folder(self) -> Path:
        self.tidy(time.time() - UNUSED_SECONDS)
        return self._root / boot_id()

    @contextlib.contextmanager
    def get(self, name: str, fetch: Callable[[Path], None]) -> Iterator[Path]:
        """Yields a path with the file's bytes, which is removed afterwards. If there is no copy, `fetch` writes them.

        Threads that ask for the same file at the same time fetch it once.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = self._folder / f"own-{uuid4().hex}"
        try:
            with self._locks[int(_digest(name)[:8], 16) % LOCKS]:
                if not self._link(name, own):
                    fetch(own)
                    self.keep(name, own)
            yield own
        finally:
            own.unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Is there a copy?"""
        return self._path(name).exists()

    def keep(self, name: str, source: Path) -> None:
        """Keep a link to a file with these bytes, which nobody writes to any more, unless it is too large."""
        if source.stat().st_size > self._limit:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Where files can't be linked, from another disk for one, there are no copies.
        with contextlib.suppress(OSError):
            os.link(source, self._path(name))
            os.utime(self._path(name))
            self._make_room()

    def forget(self, name: str) -> None:
        """The file is deleted."""
        self._path(name).unlink(missing_ok=True)

    def tidy(self, before: float) -> None:
        """Remove copies of any boot that weren't used since then, and what killed processes left."""
        for path in [*self._root.glob("*/*"), *self._root.glob("*")]:
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before:
                    path.rmdir() if path.is_dir() else path.unlink()

    def _link(self, name: str, own: Path) -> bool:
        try:
            os.link(self._path(name), own)
        except OSError:
            return False
        os.utime(own)  # one file, so one time: it was used now
        return True

    def _make_room(self) -> None:
        kept = [(status.st_mtime, status.st_size, path) for path, status in self._copies()]
        total = sum(size for _, size, _ in kept)
        old = time.time() - UNUSED_SECONDS
        for used, size, path in sorted(kept):
            if total <= self._limit and used > old:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _copies(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._folder.glob("*.pt"):
            with contextlib.suppress(FileNotFoundError):
                yield path, path.stat()

    def _path(self, name: str) -> Path:
        return self._folder / f"{_digest(name)}.pt"


def boot_id() -> str:
    """The system's id of its current boot; if it has none, one that this process makes up."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return uuid4().hex


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:40]
