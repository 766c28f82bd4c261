"""Writes a vector the way `torch.save` writes a one-dimensional tensor, without torch."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_STORAGES = {"float32": b"FloatStorage", "float64": b"DoubleStorage"}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip knows: equal vectors make equal files


def write_vector(path: str | os.PathLike[str], vector: NDArray[np.floating]) -> None:
    """Write a float32 or float64 vector of shape (n,) as an archive that `torch.load(weights_only=True)` reads.

    Raises:
        ValueError: the array has another dtype or number of dimensions.
    """
    if vector.ndim != 1 or str(vector.dtype) not in _STORAGES:
        raise ValueError(f"Give a float32 or float64 vector, not {vector.dtype} of shape {vector.shape}.")
    little = np.ascontiguousarray(vector, vector.dtype.newbyteorder("<"))
    records: dict[str, bytes | memoryview] = {
        "data.pkl": _pickle(_STORAGES[str(vector.dtype)], vector.size),
        "byteorder": b"little",
        "data/0": little.data.cast("B") if little.size else b"",
        "version": b"3\n",
    }
    with Path(path).open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, content in records.items():
                archive.writestr(zipfile.ZipInfo(f"vector/{name}", _EPOCH), content)
        file.flush()
        os.fsync(file.fileno())


def _pickle(storage: bytes, size: int) -> bytes:
    """`torch._utils._rebuild_tensor_v2(storage, 0, (size,), (1,), False, OrderedDict())` in pickle's protocol 2."""
    number = b"\x8a\x08" + struct.pack("<q", size)
    persistent_id = b"(" + _text("storage") + b"ctorch\n" + storage + b"\n" + _text("0") + _text("cpu") + number + b"tQ"
    arguments = persistent_id + b"K\x00" + number + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)R"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR."


def _text(value: str) -> bytes:
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content
