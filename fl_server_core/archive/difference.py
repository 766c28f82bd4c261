"""How far the tensors of two archives lie apart, in memory that does not grow with them."""

import math
from dataclasses import dataclass, field

import numpy as np

from fl_server_core.archive.archive import Archive, Array
from fl_server_core.archive.blocks import blocks

_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """norm: of the tensor in the first archive. difference: the norm of the second minus the first; both Euclidean.

    Values that are equal differ by 0, infinities and NaN among them.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    difference: float


@dataclass(frozen=True, slots=True)
class ArchiveDifference:
    """tensors: those that both have, in the order of the first. only_*: names that the other lacks, or has in another
    shape."""

    tensors: list[TensorDifference] = field(default_factory=list)
    only_first: list[str] = field(default_factory=list)
    only_second: list[str] = field(default_factory=list)


def archive_difference(first: Archive, second: Archive) -> ArchiveDifference:
    """Compare every tensor of the same name and shape, whatever their types. Reads both files once."""
    common = [
        name for name, info in first.tensors.items()
        if name in second.tensors and second.tensors[name].shape == info.shape
    ]  # fmt: skip
    known = set(common)
    return ArchiveDifference(
        [_difference(name, first, second) for name in common],
        [name for name in first.tensors if name not in known],
        [name for name in second.tensors if name not in known],
    )


def _difference(name: str, first: Archive, second: Archive) -> TensorDifference:
    norms, differences = [], []
    with np.errstate(all="ignore"):
        for one, other in blocks([first.array(name), second.array(name)], _BLOCK):
            before, after = _plain(one), _plain(other)
            is_same = (before == after) | ((before != before) & (after != after))
            norms.append(_norm(before))
            differences.append(_norm(np.where(is_same, 0, after - before)))
    return TensorDifference(name, first.tensors[name].shape, math.hypot(*norms), math.hypot(*differences))


def _plain(array: Array) -> Array:
    """In double precision, also booleans and the types that only ml_dtypes knows."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64).ravel()


def _norm(values: Array) -> float:
    return float(np.linalg.norm(values))
