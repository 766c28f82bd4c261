"""A PyTorch archive as named, typed views on its bytes."""

import contextlib
import math
import mmap
import os
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import numpy as np

from fl_server_core.archive import names
from fl_server_core.archive.dtypes import DTYPES
from fl_server_core.archive.errors import ArchiveError, quoted
from fl_server_core.archive.limits import DEFAULT_LIMITS, Limits
from fl_server_core.archive.machine import Machine
from fl_server_core.archive.nodes import Global, List, Table, Tensor, Tuple
from fl_server_core.archive.pickle import read_pickle
from fl_server_core.archive.scripted import ScriptClass, read_classes
from fl_server_core.archive.zip import Record, read_bytes, read_records

Array = np.ndarray[Any, Any]

_VERSIONS = {str(version).encode() for version in range(1, 21)}
_CHECKSUM_BLOCK = 16 << 20
_SLACK = 1 << 20


class ArchiveKind(StrEnum):
    MODULE = "module"
    SCRIPT = "script"
    STATE_DICT = "state_dict"
    TENSOR = "tensor"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One named tensor: a view on the record data/<storage>. Offset and strides count elements of `dtype`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    storage: str
    offset: int
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * DTYPES[self.dtype].itemsize

    @property
    def view(self) -> tuple[object, ...]:
        """Equal for names of the very same memory (tied weights)."""
        return (self.storage, self.dtype, self.offset, self.shape, self.strides)


class Archive:
    """Names, types and values of the tensors in a PyTorch archive. Made by `open_archive`; a context manager.

    Nothing in the file is executed or imported, and memory is needed for descriptions only: arrays are views on the
    mapped file. The file must not change while it is open; the server's files never do (they are replaced as a whole).
    """

    def __init__(self, content: mmap.mmap | bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> None:
        self._content = content
        self.buffer = memoryview(content).cast("B")
        self._memory: Array | None = np.frombuffer(self.buffer, np.uint8)
        self._limits = limits
        self.records = read_records(self.buffer, limits)
        self.has_checksums = any(record.checksum for record in self.records.values())
        """False for a file saved with torch.serialization.set_crc32_options(False), which leaves all of them zero."""
        self._check_format()
        root, machine = read_pickle(self._read("data.pkl", limits.pickle_size), limits)
        self._check_storages(machine)
        self._classes: dict[str, dict[str, ScriptClass]] = {}
        self.kind = self._find_kind(root)
        named = self._name_tensors(root)
        self._check_total(named.tensors.values())
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(
            {
                name: TensorInfo(name, tensor.dtype, tensor.shape, tensor.storage.key, tensor.offset, tensor.strides)
                for name, tensor in named.tensors.items()
            }
        )
        """By name, in the order of state_dict(). A single tensor has the empty name; tied weights have several."""
        self.parameter_names: tuple[str, ...] = tuple(named.parameters)
        """In the order of named_parameters(), tied ones once. Empty for a state_dict, which does not tell them."""
        self.globals = frozenset(
            str(name) for name in machine.globals if not (self._is_script and name.module.split(".")[0] == "__torch__")
        )
        """Every "module.name" that the pickle names, which torch.load would import."""
        self.attribute_calls = tuple(_describe_call(arguments) for arguments in machine.attribute_calls)
        """The arguments of every getattr in the pickle, as ("module.name", "attribute"); ("?", "?") for other uses."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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

    @property
    def _is_script(self) -> bool:
        # Also how torch.load tells them apart.
        return "constants.pkl" in self.records

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

    def _check_storages(self, machine: Machine) -> None:
        for key, storage in machine.storages.items():
            record = self.records.get(f"data/{key}")
            if record is None or record.size != storage.length * DTYPES[storage.dtype].itemsize:
                raise ArchiveError(f"The record {quoted(f'data/{key}')} is missing or of another size than described.")

    def _check_total(self, tensors: Collection[Tensor]) -> None:
        """A small file cannot stand for a huge model: work grows with the bytes that were sent."""
        views = {(t.storage.key, t.dtype, t.offset, t.shape, t.strides) for t in tensors}
        total = sum(math.prod(shape) * DTYPES[dtype].itemsize for _, dtype, _, shape, _ in views)
        if total > 4 * len(self.buffer) + _SLACK:
            raise ArchiveError("The file's tensors are far larger than the file.")

    def _find_kind(self, root: object) -> ArchiveKind:
        if self._is_script:
            return ArchiveKind.SCRIPT
        if isinstance(root, Tensor):
            return ArchiveKind.TENSOR
        if isinstance(root, Table):
            return ArchiveKind.STATE_DICT
        if isinstance(root, List | Tuple):
            return ArchiveKind.LIST
        if names.is_module(root):
            return ArchiveKind.MODULE
        raise ArchiveError("The file holds no torch.nn.Module, no state_dict and no tensor.")

    def _name_tensors(self, root: object) -> names.NamedTensors:
        named = names.NamedTensors(self._limits)
        if self._is_script:
            names.name_script(root, named, self._script_class)
            if not named.tensors and any(record.startswith(("data/", "constants/")) for record in self.records):
                raise ArchiveError("The TorchScript module is frozen: its weights are constants without names.")
        elif isinstance(root, Table):
            names.name_mapping(root, named)
        elif isinstance(root, List | Tuple):
            names.name_sequence(root.items, named)
        elif isinstance(root, Tensor):
            named.add("", root)
        else:
            names.name_module(root, named)
        return named

    def _script_class(self, name: Global) -> ScriptClass:
        if name.module not in self._classes:
            code = self._read(f"code/{name.module.replace('.', '/')}.py", self._limits.code_size)
            try:
                self._classes[name.module] = read_classes(code.decode())
            except UnicodeDecodeError:
                raise ArchiveError("The file's TorchScript code is no text.") from None
        found = self._classes[name.module].get(name.name)
        if found is None:
            raise ArchiveError(f"The file lacks the code of its class {quoted(str(name))}.")
        return found


def open_archive(source: str | os.PathLike[str] | bytes | memoryview, *, limits: Limits = DEFAULT_LIMITS) -> Archive:
    """Open a file by its path (mapped, so that its pages are the page cache's), or bytes in memory.

    Raises ArchiveError if the file is not what torch.save or torch.jit.save writes for a model, a state_dict, a tensor
    or a list of tensors; OSError if it cannot be opened. Checksums of tensors wait for `Archive.verify_checksums`.
    """
    if isinstance(source, bytes | memoryview):
        return Archive(source, limits)
    with Path(source).open("rb") as file:
        empty = os.fstat(file.fileno()).st_size == 0
        content = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return Archive(content, limits)


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


def _describe_call(arguments: Tuple | None) -> tuple[str, str]:
    match arguments.items if arguments else ():
        case (Global() as owner, str(attribute)) if attribute.isprintable():
            return str(owner), attribute[:80]
    return "?", "?"
