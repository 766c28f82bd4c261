"""The state that a method keeps from round to round, in a file that is data and nothing else.

The layout is that of safetensors: eight bytes with the length of a JSON text, that text, which names each array with
its type, shape and place, and the arrays. A file is read only if its text is the very one that this model and method
would have: so nothing in it is trusted, and nothing has to be parsed.
"""

import json
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from fl_server_ai.aggregation.base import Aggregation
from fl_server_ai.aggregation.exceptions import CannotAggregate
from fl_server_ai.aggregation.values import wide_type
from fl_server_core.archive import TensorInfo
from fl_server_core.archive.dtypes import DTYPES

Array = np.ndarray[Any, Any]

_NAMES = {np.dtype(np.float64): "F64", np.dtype(np.float32): "F32"}


@dataclass(frozen=True)
class Layout:
    """Where each array of a state is in its file: by tensor and name, its type and first byte."""

    header: bytes
    places: Mapping[tuple[str, str], tuple[np.dtype[Any], int]]
    nbytes: int

    @classmethod
    def of(cls, method: Aggregation, parameters: Mapping[str, TensorInfo]) -> Self:
        """The layout of a method's state for these parameters, complex ones aside."""
        places, entries, at = {}, {}, 0
        types = {name: wide_type(DTYPES[info.dtype]) for name, info in parameters.items()}
        for name, dtype in sorted(types.items(), key=lambda item: -item[1].itemsize):  # so that all are aligned
            if dtype.kind == "c":
                continue
            info = parameters[name]
            for key in method.initial_state():
                stop = at + info.size * dtype.itemsize
                places[name, key] = dtype, at
                described = {"dtype": _NAMES[dtype], "shape": list(info.shape), "data_offsets": [at, stop]}
                entries[f"{key}/{name}"] = described
                at = stop
        text = json.dumps({"__metadata__": {"method": method.name}, **entries}).encode()
        text += b" " * (-len(text) % 8)
        header = struct.pack("<Q", len(text)) + text
        shifted = {key: (dtype, start + len(header)) for key, (dtype, start) in places.items()}
        return cls(header, shifted, len(header) + at)


class State:
    """A state that is read from one file, or starts afresh, while the new one is written to another. A context manager.

    Leaving the block puts the new file on the disk; leaving it by an exception removes it. Without a new file what is
    written is forgotten. Raises CannotAggregate for an old file of another model or method.
    """

    def __init__(
        self,
        layout: Layout,
        initial: Mapping[str, float],
        old: str | os.PathLike[str] | None,
        new: str | os.PathLike[str] | None,
    ) -> None:
        self.layout = layout
        self.initial = initial
        has_arrays = bool(initial)
        self.old = _mapped(Path(old), layout) if old is not None and has_arrays else None
        self._path = Path(new) if new is not None and has_arrays else None
        self._file = self._path.open("wb", buffering=0) if self._path else None
        if self._file:
            self._file.truncate(layout.nbytes)
            self.put(memoryview(layout.header), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.old = None
        if self._file is None or self._path is None:
            return
        if kind is None:
            os.fsync(self._file.fileno())
        self._file.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)

    def part(self, name: str, at: int, size: int) -> "StatePart":
        """The state of some elements of a tensor."""
        return StatePart(self, name, at, size)

    def put(self, content: memoryview, at: int) -> None:
        """Write bytes to the new file, from its byte `at` on. Without a new file nothing is written."""
        while self._file is not None and content:
            written = os.pwrite(self._file.fileno(), content, at)
            content, at = content[written:], at + written


@dataclass(frozen=True)
class StatePart:
    """The state of `size` elements of a tensor, the first of which is its element `at`."""

    state: State
    name: str
    at: int
    size: int

    def read(self) -> dict[str, Array]:
        """The arrays by name, of shape (size,)."""
        return {key: self._array(key, value) for key, value in self.state.initial.items()}

    def write(self, arrays: Mapping[str, Array]) -> None:
        """Put the next round's arrays, of shape (size,). Raises ValueError for another shape."""
        for key in self.state.initial:
            dtype, start = self.state.layout.places[self.name, key]
            array = np.ascontiguousarray(arrays[key], dtype)
            if array.shape != (self.size,):
                raise ValueError(f"The state {key!r} has the shape {array.shape}, not {(self.size,)}.")
            self.state.put(array.view(np.uint8).data, start + self.at * dtype.itemsize)

    def _array(self, key: str, initial: float) -> Array:
        dtype, start = self.state.layout.places[self.name, key]
        if self.state.old is None:
            array = np.full(self.size, initial, dtype)
        else:
            first = start + self.at * dtype.itemsize
            array = self.state.old[first : first + self.size * dtype.itemsize].view(dtype)
        array.flags.writeable = False
        return array


def _mapped(path: Path, layout: Layout) -> Array:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size != layout.nbytes or file.read(len(layout.header)) != layout.header:
            raise CannotAggregate("The state of the earlier rounds belongs to another model or method.")
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
