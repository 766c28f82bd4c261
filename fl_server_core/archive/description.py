"""What a file says about its tensors: its kind, their names, types and places."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

from fl_server_core.archive import names
from fl_server_core.archive.dtypes import DTYPES
from fl_server_core.archive.errors import ArchiveError, quoted
from fl_server_core.archive.limits import Limits
from fl_server_core.archive.machine import Machine
from fl_server_core.archive.nodes import Global, List, Table, Tensor, Tuple
from fl_server_core.archive.pickle import read_pickle
from fl_server_core.archive.scripted import ScriptClass, read_classes
from fl_server_core.archive.zip import Record


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


class TensorFile(Protocol):
    """Named tensors in a file, whatever its format."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """By name."""

    @property
    def nbytes(self) -> int:
        """Size of the file."""

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """A read-only view on a tensor's values."""


class PickledNames(NamedTuple):
    """What a pickle names: `globals` as Archive.globals, `calls` as Archive.attribute_calls."""

    globals: frozenset[str]
    calls: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Description:
    """What the pickle of a file says, and the code of a TorchScript file. `nbytes`: of all tensors, tied ones once."""

    kind: ArchiveKind
    tensors: Mapping[str, TensorInfo]
    parameter_names: tuple[str, ...]
    names: PickledNames
    nbytes: int


def describe(records: Mapping[str, Record], read: Callable[[str, int], bytes], limits: Limits) -> Description:
    """Read the description of a file, whose records `read` gives by name and highest size.

    Raises ArchiveError for a file that holds no model, no state_dict, no tensor and no list of tensors.
    """
    root, machine = read_pickle(read("data.pkl", limits.pickle_size), limits)
    _check_storages(records, machine)
    kind = _find_kind(root, records)
    named = names.NamedTensors(limits)
    if kind == ArchiveKind.SCRIPT:
        names.name_script(root, named, _Code(read, limits).script_class)
        if not named.tensors and any(record.startswith(("data/", "constants/")) for record in records):
            raise ArchiveError("The TorchScript module is frozen: its weights are constants without names.")
    else:
        _name_tensors(root, named)
    infos = {
        name: TensorInfo(name, tensor.dtype, tensor.shape, tensor.storage.key, tensor.offset, tensor.strides)
        for name, tensor in named.tensors.items()
    }
    return Description(
        kind=kind,
        tensors=MappingProxyType(infos),
        parameter_names=tuple(named.parameters),
        names=describe_names(machine, kind, limits),
        nbytes=sum({info.view: info.nbytes for info in infos.values()}.values()),
    )


def describe_names(machine: Machine, kind: ArchiveKind, limits: Limits) -> PickledNames:
    """The names that a pickle has told. Raises ArchiveError for more of them than a model has."""
    own = "__torch__" if kind == ArchiveKind.SCRIPT else None  # the file's own classes, which nobody imports
    names = frozenset(str(name) for name in machine.globals if name.module.split(".")[0] != own)
    if len(names) > limits.globals:
        raise ArchiveError("The file's data.pkl names too many classes and functions.")
    return PickledNames(names, tuple(_describe_call(arguments) for arguments in machine.attribute_calls))


def is_script(records: Mapping[str, Record]) -> bool:
    """Whether the records are those of a TorchScript file; also how torch.load tells them apart."""
    return "constants.pkl" in records


class _Code:
    """The classes in a TorchScript file's code, read as they are asked for."""

    def __init__(self, read: Callable[[str, int], bytes], limits: Limits) -> None:
        self._read = read
        self._limits = limits
        self._classes: dict[str, dict[str, ScriptClass]] = {}

    def script_class(self, name: Global) -> ScriptClass:
        if name.module not in self._classes:
            code = self._read(f"code/{name.module.replace('.', '/')}.py", self._limits.code_size)
            try:
                self._classes[name.module] = read_classes(code.decode())
            except UnicodeDecodeError:
                raise ArchiveError("The file's TorchScript code is not valid UTF-8 text.") from None
        found = self._classes[name.module].get(name.name)
        if found is None:
            raise ArchiveError(f"The file lacks the code of its class {quoted(str(name))}.")
        return found


def _check_storages(records: Mapping[str, Record], machine: Machine) -> None:
    for key, storage in machine.storages.items():
        record = records.get(f"data/{key}")
        if record is None or record.size != storage.length * DTYPES[storage.dtype].itemsize:
            raise ArchiveError(f"The record {quoted(f'data/{key}')} is missing or does not have the described size.")


def _find_kind(root: object, records: Mapping[str, Record]) -> ArchiveKind:
    if is_script(records):
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


def _name_tensors(root: object, named: names.NamedTensors) -> None:
    if isinstance(root, Table):
        names.name_mapping(root, named)
    elif isinstance(root, List | Tuple):
        names.name_sequence(root.items, named)
    elif isinstance(root, Tensor):
        named.add("", root)
    else:
        names.name_module(root, named)


def _describe_call(arguments: Tuple | None) -> tuple[str, str]:
    match arguments.items if arguments else ():
        case (owner, str(attribute)) if attribute.isprintable():
            return str(owner) if isinstance(owner, Global) else "?", attribute[:80]
    return "?", "?"
