"""Any archive's tensors as the bytes of a safetensors file, made while they are read."""

import json
import os
from bisect import bisect_right
from itertools import accumulate

import numpy as np

from fl_server_core.archive.archive import Archive
from fl_server_core.archive.dtypes import DTYPES
from fl_server_core.archive.errors import ArchiveError, quoted
from fl_server_core.archive.safetensors import LENGTH, METADATA, NAMES

_SLACK = 1 << 20
_MOST_TIMES = 8
"""As large as the archive: the format knows no shared memory, so that a tensor of two names is there twice."""


class SafetensorsExport:
    """A read-only binary file with the tensors of an archive. Memory is needed for the table, and for one tensor if
    that is a transposed or strided view.

    Raises ArchiveError for tensors that the format has no type or no name for, and for a small memory under many names.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        infos = [info for info in archive.tensors.values() if info.nbytes]
        # As the package orders them: those of the widest types first, so that all are aligned.
        infos.sort(key=lambda info: -DTYPES[info.dtype].itemsize)
        empty = [info for info in archive.tensors.values() if not info.nbytes]
        stops = list(accumulate((info.nbytes for info in [*infos, *empty]), initial=0))
        table: dict[str, object] = {METADATA: {"format": "pt"}}
        for info, start, stop in zip([*infos, *empty], stops[:-1], stops[1:], strict=True):
            if info.dtype not in NAMES or info.name == METADATA:
                what = "this name" if info.name == METADATA else f"the type {info.dtype}"
                raise ArchiveError(f"The safetensors format has no tensors of {what}: {quoted(info.name)}.")
            table[info.name] = {"dtype": NAMES[info.dtype], "shape": info.shape, "data_offsets": (start, stop)}
        if stops[-1] > _MOST_TIMES * archive.nbytes + _SLACK:
            raise ArchiveError(
                "The model's tensors share memory, which the safetensors format can't express: as one file each they "
                "are too large."
            )
        text = json.dumps(table, separators=(",", ":")).encode()
        text += b" " * (-len(text) % LENGTH)
        self._head = len(text).to_bytes(LENGTH, "little") + text
        self._names = [info.name for info in infos]
        self._starts = [len(self._head) + start for start in stops[: len(infos)]]
        self.size = len(self._head) + stops[-1]
        self._at = 0
        self._shown = -1, memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        """The next bytes; none at the end."""
        stop = self.size if size < 0 else min(self.size, self._at + size)
        parts = []
        while self._at < stop:
            part, start = self._part()
            taken = part[self._at - start : stop - start]
            parts.append(taken)
            self._at += len(taken)
        return b"".join(parts)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(origin + position, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._shown = -1, memoryview(b"")
        self._archive.close()

    def _part(self) -> tuple[memoryview, int]:
        """The head or the tensor that holds the next byte, and where it begins."""
        place = bisect_right(self._starts, self._at) - 1
        if place < 0:
            return memoryview(self._head), 0
        if self._shown[0] != place:
            array = np.ascontiguousarray(self._archive.array(self._names[place]))
            self._shown = place, array.reshape(-1).view(np.uint8).data
        return self._shown[1], self._starts[place]
