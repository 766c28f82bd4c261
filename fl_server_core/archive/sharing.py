"""Whether tensors that share memory in one file hold the same values in another.

The work grows with the bytes of the files: tensors of one memory are compared once, however many names they have.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from fl_server_core.archive.archive import Array
from fl_server_core.archive.blocks import same_bits
from fl_server_core.archive.description import TensorFile, TensorInfo
from fl_server_core.archive.dtypes import DTYPES
from fl_server_core.archive.errors import ArchiveError, quoted

_LARGEST_TANGLE = 64 << 20


def check_sharing(reference: TensorFile, candidate: TensorFile) -> None:
    """The candidate has the reference's names and shapes. Raises ArchiveError, naming two tensors that differ."""
    by_view: dict[tuple[object, ...], list[TensorInfo]] = defaultdict(list)
    for info in reference.tensors.values():
        if info.size:
            by_view[info.view].append(info)
    known = _EqualViews(candidate)
    for first, *others in by_view.values():
        for info in others:
            if not known.are_equal(first.name, info.name):
                raise _untied(first, info)
    for infos in _overlapping([infos[0] for infos in by_view.values()]):
        _check_tangle(infos, candidate)


class _EqualViews:
    """Which views of a file are known to hold the same bits.

    Each comparison makes one class out of two, so there are fewer of them than views, whatever the names.
    """

    def __init__(self, file: TensorFile) -> None:
        self._file = file
        self._parents: dict[tuple[object, ...], tuple[object, ...]] = {}

    def are_equal(self, one: str, other: str) -> bool:
        root, other_root = (self._root(self._file.tensors[name].view) for name in (one, other))
        if root == other_root:
            return True
        if not same_bits(self._file.array(one), self._file.array(other)):
            return False
        self._parents[other_root] = root
        return True

    def _root(self, view: tuple[object, ...]) -> tuple[object, ...]:
        while (parent := self._parents.setdefault(view, view)) != view:
            self._parents[view] = view = self._parents.setdefault(parent, parent)  # halves the way of the next one
        return view


def _overlapping(infos: Iterable[TensorInfo]) -> Iterable[list[TensorInfo]]:
    """Groups of several views whose bytes lie within each other's span in one storage."""
    by_storage: dict[str, list[TensorInfo]] = defaultdict(list)
    for info in infos:
        by_storage[info.storage].append(info)
    for views in by_storage.values():
        views.sort(key=_span)
        group: list[TensorInfo] = []
        stop = 0
        for info in views:
            start, end = _span(info)
            if start >= stop:
                if len(group) > 1:
                    yield group
                group = []
            group.append(info)
            stop = max(stop, end)
        if len(group) > 1:
            yield group


def _span(info: TensorInfo) -> tuple[int, int]:
    """First byte in the storage, and the one after the last."""
    size = DTYPES[info.dtype].itemsize
    reach = sum((length - 1) * stride for length, stride in zip(info.shape, info.strides, strict=True))
    return info.offset * size, (info.offset + reach + 1) * size


def _check_tangle(infos: Sequence[TensorInfo], candidate: TensorFile) -> None:
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
