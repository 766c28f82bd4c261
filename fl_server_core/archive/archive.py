"""A PyTorch archive as named, typed views on its bytes."""

import contextlib
import mmap
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from fl_server_core.archive.description import (
    ArchiveKind,
    Description,
    PickledNames,
    TensorInfo,
    describe,
    describe_names,
)
from fl_server_core.archive.dtypes import DTYPES
from fl_server_core.archive.errors import ArchiveError, quoted
from fl_server_core.archive.limits import DEFAULT_LIMITS, Limits
from fl_server_core.archive.pickle import read_pickle
from fl_server_core.archive.zip import Record, read_bytes, read_records

Array = np.ndarray[Any, Any]

_VERSIONS = {str(version).encode() for version in range(1, 21)}
_CHECKSUM_BLOCK = 16 << 20
_SLACK = 1 << 20


class Archive:
    """Names, types and values of the tensors in a PyTorch archive. Made by `open_archive`; a context manager.

    Nothing in the file is executed or imported, and memory is needed for descriptions only: arrays are views on the
    mapped file. The file must not change while it is open; the server's files never do (they are replaced as a whole).
    """

    def __init__(
        self,
        content: mmap.mmap | bytes | memoryview,
        limits: Limits = DEFAULT_LIMITS,
        like: Self | None = None,
    ) -> None:
        self._content = content
        self.buffer = memoryview(content).cast("B")
        self._memory: Array | None = np.frombuffer(self.buffer, np.uint8)
        self._limits = limits
        self.records = read_records(self.buffer, limits)
        self.has_checksums = any(record.checksum for record in self.records.values())
        """False for a file saved with torch.serialization.set_crc32_options(False), which leaves all of them zero."""
        self._check_format()
        self._description: Description = (
            like._description if like and self._is_described_as(like) else describe(self.records, self._read, limits)
        )
        self._check_total()
        self.kind = self._description.kind
        self.tensors = self._description.tensors
        """By name, in the order of state_dict(). A single tensor has the empty name; tied weights have several."""
        self.parameter_names = self._description.parameter_names
        """In the order of named_parameters(), tied ones once. Empty for a state_dict, which does not tell them."""
        self.globals = self._description.names.globals
        """Every "module.name" that the pickle names, which torch.load would import."""
        self.attribute_calls = self._description.names.calls
        """The arguments of every getattr in the pickle, as ("module.name", "attribute").

        ("?", "attribute") of what is no global, ("?", "?") where getattr is used in another way."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Arrays that were handed out stay valid: the map lives as long as they do."""
        self._memory = None
        with contextlib.suppress(BufferError):  # an array still shows it
            self.buffer.release()
            if isinstance(self._content, mmap.mmap):
                self._content.close()

    @property
    def is_model(self) -> bool:
        """Whether the file holds a module, pickled or scripted, rather than bare tensors."""
        return self.kind in (ArchiveKind.MODULE, ArchiveKind.SCRIPT)

    @property
    def parameter_count(self) -> int:
        """Elements of all parameters together, tied ones counted once."""
        return sum(self.tensors[name].size for name in self.parameter_names)

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return len(self.buffer)

    def array(self, name: str) -> Array:
        """A read-only view on a tensor's values, of its shape and type (ml_dtypes' types for bfloat16 and float8).

        Raises KeyError for a name that `tensors` does not have, ValueError once the archive is closed.
        """
        if self._memory is None:
            raise ValueError("The archive is closed.")
        return view_array(self._memory, self.records, self.tensors[name])

    def verify_checksums(self) -> None:
        """Read the whole file once. Raises ArchiveError if a record differs from its checksum."""
        if not self.has_checksums:
            return
        for record in self.records.values():
            if record.is_deflated:
                self._read(record.name, self._limits.code_size)
            elif checksum(self.buffer, record) != record.checksum:
                raise _damaged(record)

    def names_of_all_pickles(self) -> PickledNames:
        """As `globals` and `attribute_calls`, with those of the other pickles that a TorchScript file has.

        Raises ArchiveError if one of them cannot be read.
        """
        names, calls = set(self.globals), set(self.attribute_calls)
        for record in self.records.values():
            if record.name.endswith("pkl") and record.name != "data.pkl":
                _root, machine = read_pickle(self._read(record.name, self._limits.pickle_size), self._limits)
                other = describe_names(machine, self.kind, self._limits)
                names |= other.globals
                calls.update(other.calls)
        return PickledNames(frozenset(names), tuple(sorted(calls)))

    def _read(self, name: str, limit: int) -> bytes:
        record = self.records.get(name)
        if record is None:
            raise ArchiveError(f"The file lacks its record {quoted(name)}.")
        content = read_bytes(self.buffer, record, limit)
        if self.has_checksums and zlib.crc32(content) != record.checksum:
            raise _damaged(record)
        return content

    def _check_format(self) -> None:
        version = "version" if "version" in self.records else ".data/version"
        if self._read(version, 16).strip() not in _VERSIONS:
            raise ArchiveError("The file is of an unknown version of PyTorch's format.")
        if "byteorder" in self.records and self._read("byteorder", 16) != b"little":
            raise ArchiveError("The file was saved on a big-endian machine, which is not supported.")

    def _is_described_as(self, like: Self) -> bool:
        """Whether the pickle, the code and the sizes of all records are those of another archive, read before."""
        if self._limits != like._limits or list(self.records) != list(like.records):
            return False
        return all(self._is_alike(record, like.records[name], like) for name, record in self.records.items())

    def _is_alike(self, record: Record, other: Record, like: Self) -> bool:
        if (record.size, record.is_deflated) != (other.size, other.is_deflated):
            return False
        if record.name != "data.pkl" and not record.name.startswith("code/"):
            return True
        if self.has_checksums and record.checksum != other.checksum:
            return False  # damaged, if its bytes are the same: to be found by reading it
        return bytes(self.buffer[record.start : record.stop]) == bytes(like.buffer[other.start : other.stop])

    def _check_total(self) -> None:
        """A small file cannot stand for a huge model: work grows with the bytes that were sent."""
        if self._description.nbytes > 4 * len(self.buffer) + _SLACK:
            raise ArchiveError("The file's tensors are far larger than the file.")


def open_archive(
    source: str | os.PathLike[str] | bytes | memoryview,
    *,
    limits: Limits = DEFAULT_LIMITS,
    like: Archive | None = None,
) -> Archive:
    """Open a file by its path (mapped, so that its pages are the page cache's), or bytes in memory.

    `like` is an open archive. A file that differs from it in the values of its tensors only, as an update does from the
    global model, is described as that one is, and its pickle is not read again.

    Raises ArchiveError if the file is not what torch.save or torch.jit.save writes for a model, a state_dict, a tensor
    or a list of tensors; OSError if it cannot be opened. Checksums of tensors wait for `Archive.verify_checksums`.
    """
    if isinstance(source, bytes | memoryview):
        return Archive(source, limits, like)
    return Archive(map_file(source), limits, like)


def map_file(source: str | os.PathLike[str]) -> mmap.mmap | bytes:
    """A file's bytes, mapped. Raises OSError if it cannot be opened."""
    with Path(source).open("rb") as file:
        empty = os.fstat(file.fileno()).st_size == 0
        return b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def view_array(memory: Array, records: Mapping[str, Record], info: TensorInfo) -> Array:
    """The tensor as an array on the bytes of a file, writable if those are.

    Only an array as the base keeps a map open: numpy forgets that any other buffer is in use.
    """
    dtype = DTYPES[info.dtype]
    if info.size == 0:
        array = np.empty(info.shape, dtype)
        array.flags.writeable = memory.flags.writeable
        return array
    record = records[f"data/{info.storage}"]
    strides = [stride * dtype.itemsize for stride in info.strides]
    return np.ndarray(info.shape, dtype, memory, record.start + info.offset * dtype.itemsize, strides)


def checksum(buffer: memoryview, record: Record) -> int:
    """CRC-32 of a record's stored bytes."""
    value = 0
    for at in range(record.start, record.stop, _CHECKSUM_BLOCK):
        value = zlib.crc32(buffer[at : min(at + _CHECKSUM_BLOCK, record.stop)], value)
    return value


def _damaged(record: Record) -> ArchiveError:
    return ArchiveError(f"The record {quoted(record.name)} differs from its checksum: the file was damaged on its way.")
