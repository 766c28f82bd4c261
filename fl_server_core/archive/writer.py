"""Writes an archive as a copy of another with other values in its tensors."""

import mmap
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from fl_server_core.archive.archive import Archive, Array, checksum, view_array
from fl_server_core.archive.blocks import blocks
from fl_server_core.archive.checks import check_compatible
from fl_server_core.archive.description import TensorFile, TensorInfo
from fl_server_core.archive.errors import ArchiveError, quoted
from fl_server_core.archive.zip import Record

_BLOCK = 1 << 18
_COPY_BLOCK = 16 << 20
_WORD = (1 << 64) - 1
_SERIALIZATION_ID = ".data/serialization_id"


class ArchiveWriter:
    """A copy of a template at `path` with other values in its tensors. A context manager.

    Byte for byte the file that torch itself would write for the template's object with these values. Leaving the block
    finishes the file; leaving it by an exception removes it. Names that share memory in the template share it here,
    too: what is written under one is read under the other.

    Tensors written with `write` in the order of `names` go into the file front to back, with their checksums computed
    on the way. `array` gives a tensor to be filled in place, in a map of the file: pages of the file, not memory of the
    process.
    """

    def __init__(self, template: Archive, path: str | os.PathLike[str], *, sync: bool = True) -> None:
        self.template = template
        self._sync = sync
        self.path = Path(path)
        self._whole = _whole_records(template)
        self._copied = 0
        """Up to here the file has the template's bytes, or new ones."""
        self._checksums: dict[str, int] = {}
        self._mapped: set[str] = set()
        """Records that were handed out to be filled in place: their checksums wait for the end."""
        self._memory: Array | None = None
        self._file = self.path.open("w+b", buffering=0)
        try:
            self._file.truncate(template.nbytes)
        except BaseException:
            self._abandon()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self._abandon()

    def names(self) -> list[str]:
        """One name of each tensor that has elements, in the order of their bytes in the file."""
        by_view = {info.view: info for info in reversed(list(self.template.tensors.values())) if info.size}
        return [info.name for info in sorted(by_view.values(), key=self._position)]

    def write(self, name: str, parts: Iterable[Array]) -> None:
        """Write a tensor's elements, in the order of a C-contiguous array, as one-dimensional parts of its type.

        Raises ArchiveError for an expanded view, ValueError for parts that are together of another size.
        """
        info = self.template.tensors[name]
        record = self._record(info)
        if record.name in self._whole and record.start >= self._copied:
            self._stream(record, parts)
        else:
            _fill(self.array(name), parts)

    def array(self, name: str) -> Array:
        """A writable view on a tensor in the new file, holding the template's values until others are written.

        Raises ArchiveError for an expanded view, in which one element stands for many, and KeyError for a name that
        the template does not have.
        """
        info = self.template.tensors[name]
        if _repeats_elements(info):
            raise ArchiveError(f"The tensor {quoted(name)} is an expanded view, which cannot be written.")
        if self._memory is None:
            # Only an array keeps the map open for those that show it: numpy forgets any other buffer.
            self._memory = np.frombuffer(mmap.mmap(self._file.fileno(), self.template.nbytes), np.uint8)
        if info.size:
            record = self._record(info)
            self._copy_up_to(record.stop)
            self._mapped.add(record.name)
        return view_array(self._memory, self.template.records, info)

    def finish(self) -> None:
        """Put the checksums right, and the file on the disk unless `sync` is false. Further calls do nothing."""
        if self._file.closed:
            return
        self._copy_up_to(self.template.nbytes)
        if self.template.has_checksums:
            self._update_checksums()
        if self._sync:
            os.fsync(self._file.fileno())  # what was written into the map, too
        self._file.close()

    def _abandon(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _record(self, info: TensorInfo) -> Record:
        return self.template.records[f"data/{info.storage}"]

    def _position(self, info: TensorInfo) -> tuple[int, int]:
        return self._record(info).start, info.offset

    def _copy_up_to(self, stop: int) -> None:
        for at in range(self._copied, stop, _COPY_BLOCK):
            self._put(self.template.buffer[at : min(at + _COPY_BLOCK, stop)], at)
        self._copied = max(self._copied, stop)

    def _put(self, content: memoryview, at: int) -> None:
        while content:
            written = os.pwrite(self._file.fileno(), content, at)
            content, at = content[written:], at + written

    def _stream(self, record: Record, parts: Iterable[Array]) -> None:
        self._copy_up_to(record.start)
        at, value = record.start, 0
        for part in parts:
            content = part.view(np.uint8).data
            if at + len(content) > record.stop:
                raise ValueError("The parts are larger than the tensor.")
            value = zlib.crc32(content, value)
            self._put(content, at)
            at += len(content)
        if at != record.stop:
            raise ValueError("The parts are smaller than the tensor.")
        self._copied = record.stop
        self._checksums[record.name] = value

    def _update_checksums(self) -> None:
        records = self.template.records
        old = {name: record.checksum for name, record in records.items()}
        if self._memory is not None:
            for name in self._mapped:
                self._checksums[name] = checksum(self._memory.data, records[name])
        new = old | self._checksums
        for name, value in self._checksums.items():
            self._store_checksum(records[name], value)
        identity = records.get(_SERIALIZATION_ID)
        if identity is None or identity.size != 40:
            return
        content = bytes(self.template.buffer[identity.start : identity.stop])
        # Another way of combining them than ours, from some other torch version, is left as it is.
        if content[20:] == _combined(old):
            content = content[:20] + _combined(new)
            self._put(memoryview(content), identity.start)
            self._store_checksum(identity, zlib.crc32(content))

    def _store_checksum(self, record: Record, value: int) -> None:
        packed = memoryview(struct.pack("<I", value))
        self._put(packed, record.entry + 16)
        if record.has_descriptor:
            self._put(packed, record.stop + 4)
        in_header = struct.unpack_from("<3I", self.template.buffer, record.header + 14)
        if not record.has_descriptor or any(in_header):
            self._put(packed, record.header + 14)


def check_writable(template: Archive) -> None:
    """Can values be written into a copy of the archive?

    Raises:
        ArchiveError: a tensor is an expanded view, in which one element stands for many.
    """
    for info in template.tensors.values():
        if _repeats_elements(info):
            raise ArchiveError(f"The tensor {quoted(info.name)} is an expanded view, which cannot be written.")


def copy_tensors(template: Archive, values: TensorFile, path: str | os.PathLike[str], *, sync: bool = True) -> None:
    """Write the template's file with the values of another file of the same names, shapes and types.

    Nothing else of the other file gets into the new one. sync: wait until the disk has it. Raises ArchiveError if the
    two do not fit.
    """
    check_compatible(template, values)
    check_writable(template)
    with ArchiveWriter(template, path, sync=sync) as writer:
        for name in writer.names():
            parts = (np.ascontiguousarray(part).reshape(-1) for (part,) in blocks([values.array(name)], _BLOCK))
            writer.write(name, parts)


def _fill(target: Array, parts: Iterable[Array]) -> None:
    at = 0
    flat = target.reshape(-1) if target.flags.c_contiguous else target.flat
    for part in parts:
        if at + part.size > target.size:
            raise ValueError("The parts are larger than the tensor.")
        flat[at : at + part.size] = part
        at += part.size
    if at != target.size:
        raise ValueError("The parts are smaller than the tensor.")


def _whole_records(template: Archive) -> frozenset[str]:
    """The records that one contiguous tensor fills, so that its elements in their order are the record's bytes."""
    views: dict[str, set[tuple[object, ...]]] = {}
    filled = set()
    for info in template.tensors.values():
        record = f"data/{info.storage}"
        views.setdefault(record, set()).add(info.view)
        if info.nbytes == template.records[record].size and _is_contiguous(info):
            filled.add(record)
    return frozenset(record for record in filled if len(views[record]) == 1)


def _is_contiguous(info: TensorInfo) -> bool:
    expected = 1
    for stride, length in zip(reversed(info.strides), reversed(info.shape), strict=True):
        if length > 1 and stride != expected:
            return False
        expected *= length
    return info.offset == 0


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
