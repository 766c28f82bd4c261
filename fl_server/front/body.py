"""The body of a request while it arrives."""

from __future__ import annotations

from io import BytesIO
from tempfile import TemporaryFile
from typing import IO

from django.conf import settings

BLOCK_BYTES = 1024 * 1024


class Body:
    """A small body stays in memory; a larger one goes to a file, one block at a time.

    `add` only keeps what it is given. Once `is_block` says so, `store` has to be called, in a thread: disks are slow.
    """

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes] = []
        self._held = 0
        self._file: IO[bytes] | None = None

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        self.size += len(data)

    @property
    def is_block(self) -> bool:
        """Is there enough in memory to be stored?"""
        return self._held >= BLOCK_BYTES

    @property
    def is_file(self) -> bool:
        """Does closing it take longer than a moment?"""
        return self._file is not None

    def store(self) -> None:
        """Write what is in memory to the file. Raises `OSError` where the disk refuses."""
        if self._file is None:
            # Without a name from the start: however the process ends, nothing stays.
            self._file = TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115 - closed with the body
        self._file.write(b"".join(self._parts))
        self._parts, self._held = [], 0

    def open(self) -> IO[bytes]:
        """The whole body, from its beginning. Raises `OSError` where the disk refuses."""
        if self._file is None:
            return BytesIO(b"".join(self._parts))
        self.store()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Let go of everything; it may be called twice."""
        self._parts = []
        if self._file is not None:
            self._file.close()
