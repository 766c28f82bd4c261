"""Files that are read while they are sent, and that say how far they are."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO, Self

from .downloads import Progress


class Upload(io.RawIOBase):
    """A file for httpx, which reads it in pieces and goes back to its start for another try."""

    def __init__(self, file: BinaryIO, progress: Progress | None) -> None:
        self._file, self._progress = file, progress
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)

    @classmethod
    def of(cls, source: bytes | Path, progress: Progress | None = None) -> Self:
        """Open a path or bytes. Raises OSError."""
        return cls(source.open("rb") if isinstance(source, Path) else io.BytesIO(source), progress)

    def read(self, size: int = -1) -> bytes:
        """The next piece."""
        piece = self._file.read(size)
        if self._progress is not None:
            self._progress(self._file.tell(), self._size)
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go elsewhere in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next piece begins."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
