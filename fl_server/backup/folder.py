"""A folder with backups: where things are in it, and how to write a file whole or not at all.

``files/<name in the storage>``: the files of all backups, each once, for they never change under their name.
``backups/<time>/``: of one backup the database and the manifest, which names its files. Such a folder gets its name
when everything in it is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from fl_server.backup.exceptions import BackupError

UNFINISHED = ".part"
BLOCK = 1 << 20


class BackupFolder:
    """Paths in a folder with backups."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = path / "files"
        self.backups = path / "backups"

    def make(self) -> None:
        """For the owner's eyes only: a backup holds what the database holds.

        Raises:
            BackupError: others could read or change what is written there.
        """
        for folder in (self.path, self.files, self.backups):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise BackupError(
                    f"The folder {folder} can't be made: {error.strerror}. Name another one, on a disk that this user "
                    "can write to."
                ) from error
        self._refuse_strangers()

    def _refuse_strangers(self) -> None:
        owner, mode = self.path.stat().st_uid, self.path.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise BackupError(f"Everybody may write to {self.path}, and so replace backups. Run: chmod o-w {self.path}")
        for folder in (self.files, self.backups):
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), owner):
                raise BackupError(
                    f"{folder} is a link, or of another user, who could read and change backups. Remove it."
                )
            if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~stat.S_ISGID:
                folder.chmod(0o700)

    def file(self, name: str) -> Path:
        """The path of a file with this name in the storage. Raises BackupError if it would lie outside the folder."""
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or PurePosixPath(name).is_absolute() or "\\" in name:
            raise BackupError(f"The backup names a file {name!r}, which is no name that this server gives.")
        return self.files.joinpath(*parts)

    def names(self) -> list[str]:
        """The names of the backups, oldest first."""
        if not self.backups.is_dir():
            return []
        return sorted(one.name for one in self.backups.iterdir() if one.is_dir() and not one.name.startswith("."))

    def find(self, name: str | None) -> Path:
        """The folder of one backup; without a name, of the newest."""
        names = self.names()
        if not names:
            raise BackupError(f"{self.path} holds no backup. `fl-server backup {self.path}` makes one.")
        if name is not None and name not in names:
            raise BackupError(f"{self.path} holds no backup {name}. It holds: {', '.join(names)}.")
        return self.backups / (name or names[-1])

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One process at a time writes here."""
        handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._take(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keep others from pruning what is being read. In a folder that can't be written to, nobody prunes."""
        try:
            handle = os.open(self.path / ".lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            yield
            return
        try:
            self._take(handle, fcntl.LOCK_SH)
            yield
        finally:
            os.close(handle)

    def _take(self, handle: int, kind: int) -> None:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupError(f"A backup or a restore is at work in {self.path}. Wait until it has ended.") from error

    def sync_files(self) -> None:
        """Make sure that the names of files are on the disk, too."""
        for folder in (self.files, *(path for path in self.files.rglob("*") if path.is_dir())):
            sync(folder)

    def clear_unfinished(self) -> None:
        """Remove what an interrupted backup left behind. Files that it had copied stay: they are whole."""
        for folder in self.backups.glob(f".*{UNFINISHED}"):
            shutil.rmtree(folder)
        for file in self.files.rglob(f".*{UNFINISHED}"):
            file.unlink()


def digest_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            total.update(block)
    return total.hexdigest()


def write_whole(path: Path, blocks: Iterable[bytes]) -> tuple[int, str]:
    """Write a file under its name only once it is complete and on the disk. Returns: bytes, SHA-256."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    total, size = hashlib.sha256(), 0
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123  of a descriptor
            for block in blocks:
                file.write(block)
                total.update(block)
                size += len(block)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return size, total.hexdigest()


def sync(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
