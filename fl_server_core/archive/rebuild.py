"""The few calls in a pickle whose results matter: tensors, their storages, ordered dicts and sets."""

import math
import re

from fl_server_core.archive.dtypes import DTYPES, STORAGE_DTYPES
from fl_server_core.archive.errors import ArchiveError, quoted
from fl_server_core.archive.limits import Limits
from fl_server_core.archive.nodes import Global, Instance, List, Storage, Table, Tensor, Tuple

ORDERED_DICT = Global("collections", "OrderedDict")
_SETS = {Global(module, name) for module in ("builtins", "__builtin__") for name in ("set", "frozenset")}
_TORCH_SIZE = Global("torch", "Size")
_TYPED_TENSOR = Global("torch._utils", "_rebuild_tensor_v2")
_UNTYPED_TENSOR = Global("torch._utils", "_rebuild_tensor_v3")
_FROM_TYPE = Global("torch._tensor", "_rebuild_from_type_v2")
_PARAMETERS = {Global("torch._utils", f"_rebuild_parameter{suffix}") for suffix in ("", "_with_state")}
_LARGEST = 1 << 40
_STORAGE_KEY = re.compile(r"[0-9]{1,9}")


def rebuild(maker: Global, arguments: Tuple, limits: Limits) -> object | None:
    """What the call gives, or None if it stays a description."""
    items = arguments.items
    if maker == ORDERED_DICT and not items:
        return Table()
    if maker in _SETS and len(items) == 1 and isinstance(items[0], List):
        return items[0]
    if maker in (_TYPED_TENSOR, _UNTYPED_TENSOR):
        return _tensor(maker, items, limits)
    if maker == _FROM_TYPE and len(items) == 4:
        # A subclass of Tensor, or a tensor with attributes: its values are those of the tensor inside.
        inner_maker, _, inner, _ = items
        if isinstance(inner_maker, Global) and isinstance(inner, Tuple) and inner_maker != _FROM_TYPE:
            return rebuild(inner_maker, inner, limits)
    if maker in _PARAMETERS and items and isinstance(items[0], Tensor):
        # Two parameters may share a tensor's memory and still be two.
        data = items[0]
        return Tensor(data.storage, data.dtype, data.offset, data.shape, data.strides)
    if maker.module == "torch.jit._pickle" and items:
        return items[0]
    return None


def describe_storage(persistent_id: Tuple, known: dict[str, Storage]) -> Storage:
    """The storage that ("storage", class, key, device, length) names. The device is of no interest."""
    items = persistent_id.items
    if len(items) != 5 or items[0] != "storage" or not isinstance(items[1], Global):
        raise ArchiveError("The file's data.pkl contains a reference that is not to a tensor storage.")
    kind, key = items[1], items[2]
    dtype = STORAGE_DTYPES.get(kind.name) if kind.module in ("torch", "torch.storage") else None
    if dtype is None:
        raise ArchiveError(f"The file holds a storage of the type {quoted(str(kind))}, which is not supported.")
    if type(key) is not str or not _STORAGE_KEY.fullmatch(key):
        raise ArchiveError("The file's data.pkl refers to a tensor storage by an unusual name.")
    length = _integer(items[4])
    storage = known.setdefault(key, Storage(dtype, key, length))
    if (storage.dtype, storage.length) != (dtype, length):
        raise ArchiveError(f"The file describes its storage {quoted(key)} in two ways.")
    return storage


def _tensor(maker: Global, items: tuple[object, ...], limits: Limits) -> Tensor:
    """Of (storage, offset, shape, strides, requires_grad, hooks[, dtype], [flags]); the dtype where it is untyped."""
    untyped = maker == _UNTYPED_TENSOR
    known = 7 if untyped else 6
    if len(items) not in (known, known + 1) or not isinstance(items[0], Storage):
        raise ArchiveError("The file's data.pkl describes a tensor in an unknown way.")
    flags = items[known] if len(items) > known else None
    if not (flags is None or (isinstance(flags, Table) and not flags.entries and not flags.others)):
        raise ArchiveError("The file holds a tensor that is a lazy conjugate or negative, which is not supported.")
    storage = items[0]
    dtype = _torch_dtype(items[6]) if untyped else storage.dtype
    shape, strides = _extents(items[2], limits), _extents(items[3], limits)
    tensor = Tensor(storage, dtype, _integer(items[1]), shape, strides)
    _check_extent(tensor)
    return tensor


def _torch_dtype(value: object) -> str:
    name = value.name if isinstance(value, Global) and value.module == "torch" else str(type(value).__name__)
    if name not in DTYPES:
        raise ArchiveError(f"The file holds a tensor of the type {quoted(name)}, which is not supported.")
    return name


def _extents(value: object, limits: Limits) -> tuple[int, ...]:
    if isinstance(value, Instance) and value.maker == _TORCH_SIZE and isinstance(value.arguments, Tuple):
        value = value.arguments.items[0] if len(value.arguments.items) == 1 else None
    if not isinstance(value, Tuple) or len(value.items) > limits.dimensions:
        raise ArchiveError("The file's data.pkl describes a tensor with an invalid shape.")
    return tuple(_integer(item) for item in value.items)


def _integer(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise ArchiveError("The file's data.pkl describes a tensor with an invalid number.")
    return value


def _check_extent(tensor: Tensor) -> None:
    """The view lies within its storage."""
    if len(tensor.shape) != len(tensor.strides) or math.prod(max(size, 1) for size in tensor.shape) > _LARGEST:
        raise ArchiveError("The file's data.pkl describes a tensor with an invalid shape.")
    if 0 in tensor.shape:
        return
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
    available = tensor.storage.length * DTYPES[tensor.storage.dtype].itemsize
    if (last + 1) * DTYPES[tensor.dtype].itemsize > available:
        raise ArchiveError("The file's data.pkl describes a tensor that extends beyond its storage.")
