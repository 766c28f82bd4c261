"""Whether an archive's tensors may stand in for another's."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from fl_server_core.archive.archive import Archive, Array
from fl_server_core.archive.blocks import blocks
from fl_server_core.archive.description import TensorInfo
from fl_server_core.archive.dtypes import DTYPES, bit_views, is_finite, is_floating
from fl_server_core.archive.errors import ArchiveError, quoted

_BLOCK = 1 << 18
_LARGEST_TANGLE = 64 << 20


def check_compatible(reference: Archive, candidate: Archive) -> None:
    """The candidate has the reference's tensors: names, shapes, types; and those that share memory there are equal.

    The order of the names and the kind of file do not matter. Raises ArchiveError, naming the first tensor that
    differs.
    """
    for name, expected in reference.tensors.items():
        found = candidate.tensors.get(name)
        if found is None:
            raise ArchiveError(f"The tensor {quoted(name)} of the model is missing.")
        if found.shape != expected.shape:
            raise ArchiveError(
                f"The tensor {quoted(name)} has the shape {found.shape}; the model's has {expected.shape}."
            )
        if found.dtype != expected.dtype:
            raise ArchiveError(f"The tensor {quoted(name)} is of the type {found.dtype}, not {expected.dtype}.")
    for name in candidate.tensors:
        if name not in reference.tensors:
            raise ArchiveError(f"The model has no tensor {quoted(name)}.")
    for infos in _shared_memory(reference):
        _check_shared(infos, candidate)


def check_finite(candidate: Archive, reference: Archive | None = None) -> None:
    """No value is infinite or not a number, except where the reference's tensor of that name has the very same bits.

    (Attention masks are full of -inf.) Raises ArchiveError, naming the tensor.
    """
    finite: set[tuple[object, ...]] = set()
    for name, info in candidate.tensors.items():
        if not is_floating(info.dtype) or info.view in finite:
            continue
        array = candidate.array(name)
        if all(is_finite(block).all() for (block,) in blocks([array], _BLOCK)):
            finite.add(info.view)
            continue
        expected = reference.tensors.get(name) if reference else None
        if reference is None or expected is None or (expected.shape, expected.dtype) != (info.shape, info.dtype):
            raise _not_finite(name)
        if not _same_where_not_finite(array, reference.array(name)):
            raise _not_finite(name)


def same_bits(one: Array, other: Array) -> bool:
    """Whether two arrays of one shape and type are equal bit by bit (a NaN equals itself, 0 is not -0)."""
    return all(_equal_bits(a, b).all() for a, b in blocks([one, other], _BLOCK))


def _equal_bits(one: Array, other: Array) -> Array:
    pairs = zip(bit_views(one), bit_views(other), strict=True)
    equal: Array = np.logical_and.reduce([a == b for a, b in pairs])
    return equal


def _same_where_not_finite(array: Array, reference: Array) -> bool:
    return all((is_finite(a) | _equal_bits(a, b)).all() for a, b in blocks([array, reference], _BLOCK))


def _not_finite(name: str) -> ArchiveError:
    tensor = f"The tensor {quoted(name)}" if name else "The tensor"  # a file of one tensor has no name for it
    return ArchiveError(f"{tensor} holds values that are not finite (NaN or infinity).")


def _span(info: TensorInfo) -> tuple[int, int]:
    """First byte in the storage, and the one after the last."""
    size = DTYPES[info.dtype].itemsize
    reach = sum((length - 1) * stride for length, stride in zip(info.shape, info.strides, strict=True))
    return info.offset * size, (info.offset + reach + 1) * size


def _shared_memory(archive: Archive) -> Iterable[list[TensorInfo]]:
    """Groups of tensors whose bytes lie within each other's span in one storage."""
    by_storage: dict[str, list[TensorInfo]] = defaultdict(list)
    for info in archive.tensors.values():
        if info.size:
            by_storage[info.storage].append(info)
    for infos in by_storage.values():
        infos.sort(key=_span)
        group, stop = [infos[0]], _span(infos[0])[1]
        for info in infos[1:]:
            start, end = _span(info)
            if start >= stop:
                yield group
                group = []
            group.append(info)
            stop = max(stop, end)
        yield group


def _check_shared(infos: list[TensorInfo], candidate: Archive) -> None:
    first = infos[0]
    if all(info.view == first.view for info in infos):
        for info in infos[1:]:
            if candidate.tensors[info.name].view == candidate.tensors[first.name].view:
                continue
            if not same_bits(candidate.array(first.name), candidate.array(info.name)):
                raise _untied(first, info)
    else:
        _check_tangle(infos, candidate)


def _check_tangle(infos: list[TensorInfo], candidate: Archive) -> None:
    """Views that share some bytes (a matrix and its transpose): write all of them into one memory, then look."""
    start = min(_span(info)[0] for info in infos)
    size = max(_span(info)[1] for info in infos) - start
    if size > _LARGEST_TANGLE:
        raise ArchiveError(
            f"The model's tensors {quoted(infos[0].name)} and {quoted(infos[1].name)} overlap in memory, and are too "
            "large for it to be checked."
        )
    memory = bytearray(size)
    views = [_view(memory, info, start) for info in infos]
    for info, view in zip(infos, views, strict=True):
        np.copyto(view, candidate.array(info.name), casting="no")
    for info, view in zip(infos, views, strict=True):
        if not same_bits(view, candidate.array(info.name)):
            raise _untied(next(other for other in infos if other is not info), info)


def _view(memory: bytearray, info: TensorInfo, start: int) -> Array:
    dtype = DTYPES[info.dtype]
    strides = [stride * dtype.itemsize for stride in info.strides]
    return np.ndarray(info.shape, dtype, memory, info.offset * dtype.itemsize - start, strides)


def _untied(one: TensorInfo, other: TensorInfo) -> ArchiveError:
    return ArchiveError(
        f"The tensors {quoted(one.name)} and {quoted(other.name)} share memory in the model, but differ in this file."
    )
