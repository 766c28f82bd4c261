"""Whether a file's tensors may stand in for another's."""

from fl_server_core.archive.archive import Array
from fl_server_core.archive.blocks import blocks, equal_bits
from fl_server_core.archive.description import TensorFile
from fl_server_core.archive.dtypes import is_finite, is_floating
from fl_server_core.archive.errors import ArchiveError, quoted
from fl_server_core.archive.sharing import check_sharing

_BLOCK = 1 << 18
_SLACK = 1 << 20
_MOST_LOOKS = 8
"""At the bytes of two files, for the values that are not finite: an honest file needs one or two."""


def check_compatible(reference: TensorFile, candidate: TensorFile) -> None:
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
    check_sharing(reference, candidate)


def check_finite(candidate: TensorFile, reference: TensorFile | None = None) -> None:
    """No value is infinite or not a number, except where the reference's tensor of that name has the very same bits.

    (Attention masks are full of -inf.) Raises ArchiveError, naming the tensor.
    """
    is_view_finite: dict[tuple[object, ...], bool] = {}
    excused: set[tuple[object, ...]] = set()
    left = _SLACK + _MOST_LOOKS * (candidate.nbytes + (reference.nbytes if reference else 0))
    for name, info in candidate.tensors.items():
        if not is_floating(info.dtype):
            continue
        view = info.view
        if view not in is_view_finite:
            is_view_finite[view] = all(is_finite(block).all() for (block,) in blocks([candidate.array(name)], _BLOCK))
        if is_view_finite[view]:
            continue
        expected = reference.tensors.get(name) if reference else None
        if reference is None or expected is None or (expected.shape, expected.dtype) != (info.shape, info.dtype):
            raise _not_finite(name)
        pair = (view, expected.view)
        if pair in excused:
            continue
        left -= info.nbytes
        if left < 0:
            raise ArchiveError("The file's tensors share memory in too many ways for its infinities to be checked.")
        if not _same_where_not_finite(candidate.array(name), reference.array(name)):
            raise _not_finite(name)
        excused.add(pair)


def _same_where_not_finite(array: Array, reference: Array) -> bool:
    return all((is_finite(a) | equal_bits(a, b)).all() for a, b in blocks([array, reference], _BLOCK))


def _not_finite(name: str) -> ArchiveError:
    tensor = f"The tensor {quoted(name)}" if name else "The tensor"  # a file of one tensor has no name for it
    return ArchiveError(f"{tensor} holds values that are not finite (NaN or infinity).")
