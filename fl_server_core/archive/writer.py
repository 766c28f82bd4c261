"""Writes an archive as a copy of another with other values in its tensors."""

import mmap
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from fl_server_core.archive.archive import Archive, Array, TensorInfo, checksum, view_array
from fl_server_core.archive.checks import check_compatible
from fl_server_core.archive.errors import ArchiveError, quoted
from fl_server_core.archive.zip import Record

_COPY_BLOCK = 16 << 20
_WORD = (1 << 64) - 1
_SERIALIZATION_ID = ".data/serialization_id"


class ArchiveWriter:
    """A copy of a template at `path`, whose tensors can be overwritten in place. A context manager.

    Byte for byte the file that torch itself would write for the template's object with these values. The file is
    mapped shared: what is written becomes pages of the file, not memory of the process. Leaving the block finishes the
    file; leaving it by an exception removes it. Names that share memory in the template share it here, too: what is
    written under one is read under the other.
    """

    def __init__(self, template: Archive, path: str | os.PathLike[str]) -> None:
        self.template = template
        self.path = Path(path)
        self._touched: set[str] = set()
        self._file = self.path.open("w+b")
        try:
            for at in range(0, template.nbytes, _COPY_BLOCK):
                self._file.write(template.buffer[at : at + _COPY_BLOCK])
            self._file.flush()
            self._content = mmap.mmap(self._file.fileno(), template.nbytes)
            self._memory = np.frombuffer(self._content, np.uint8)
        except BaseException:
            self._file.close()
            self.path.unlink(missing_ok=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self._file.close()
            self.path.unlink(missing_ok=True)

    def array(self, name: str) -> Array:
        """A writable view on a tensor in the new file, holding the template's values until others are written.

        Raises ArchiveError for an expanded view, in which one element stands for many, and KeyError for a name that
        the template does not have.
        """
        info = self.template.tensors[name]
        if _repeats_elements(info):
            raise ArchiveError(f"The tensor {quoted(name)} is an expanded view, which cannot be written.")
        if info.size:
            self._touched.add(f"data/{info.storage}")
        return view_array(self._memory, self.template.records, info)

    def finish(self) -> None:
        """Put the checksums right, and the file on the disk. Further calls do nothing."""
        if self._file.closed:
            return
        if self.template.has_checksums:
            self._update_checksums()
        self._content.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _update_checksums(self) -> None:
        records = self.template.records
        old = {name: record.checksum for name, record in records.items()}
        new = dict(old)
        with memoryview(self._content) as buffer:
            for name in self._touched:
                new[name] = checksum(buffer, records[name])
                self._store_checksum(records[name], new[name])
            identity = records.get(_SERIALIZATION_ID)
            if identity is None or identity.size != 40:
                return
            half = slice(identity.start + 20, identity.stop)
            # Another way of combining them than ours, from some other torch version, is left as it is.
            if bytes(buffer[half]) == _combined(old):
                buffer[half] = _combined(new)
                self._store_checksum(identity, checksum(buffer, identity))

    def _store_checksum(self, record: Record, value: int) -> None:
        struct.pack_into("<I", self._content, record.entry + 16, value)
        if record.has_descriptor:
            struct.pack_into("<I", self._content, record.stop + 4, value)
        in_header = struct.unpack_from("<3I", self._content, record.header + 14)
        if not record.has_descriptor or any(in_header):
            struct.pack_into("<I", self._content, record.header + 14, value)


def check_writable(template: Archive) -> None:
    """Can values be written into a copy of the archive?

    Raises:
        ArchiveError: a tensor is an expanded view, in which one element stands for many.
    """
    for info in template.tensors.values():
        if _repeats_elements(info):
            raise ArchiveError(f"The tensor {quoted(info.name)} is an expanded view, which cannot be written.")


def copy_tensors(template: Archive, values: Archive, path: str | os.PathLike[str]) -> None:
    """Write the template's file with the values of another archive of the same names, shapes and types.

    Nothing else of the other archive gets into the new file. Raises ArchiveError if the two do not fit.
    """
    check_compatible(template, values)
    with ArchiveWriter(template, path) as writer:
        for name in template.tensors:
            np.copyto(writer.array(name), values.array(name), casting="no")


def _combined(checksums: dict[str, int]) -> bytes:
    """torch's checksum of an archive, as 20 digits: the checksums of its records, in the order of their bytes."""
    seed = 0
    for name, value in checksums.items():
        if name != _SERIALIZATION_ID:
            seed = (seed ^ (value + 0x9E3779B9 + ((seed << 6) & _WORD) + (seed >> 2))) & _WORD
    return b"%020d" % seed


def _repeats_elements(info: TensorInfo) -> bool:
    """Whether two indices may lead to one element. (Right for whatever torch makes, on the safe side for the rest.)"""
    if info.size == 0:
        return False
    reach = 0
    for stride, length in sorted(zip(info.strides, info.shape, strict=True)):
        if length > 1:
            if stride <= reach:
                return True
            reach += stride * (length - 1)
    return False
