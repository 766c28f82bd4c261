"""The safetensors format: a table of names, types and places, then the tensors' bytes. It can carry no code.

https://github.com/huggingface/safetensors says what a file looks like. Stricter here: no name twice, no other fields.
"""

import json
import mmap
import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from operator import mul
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from fl_server_core.archive.description import TensorInfo
from fl_server_core.archive.dtypes import DTYPES
from fl_server_core.archive.errors import ArchiveError, quoted
from fl_server_core.archive.limits import DEFAULT_LIMITS, Limits

Array = np.ndarray[Any, Any]

NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2": "F8_E5M2",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "complex64": "C64",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
"""The format's names of the types. It has none for complex128."""
METADATA = "__metadata__"
LENGTH = 8
"""Bytes of the number that says how long the table is."""
_TYPES = {code: dtype for dtype, code in NAMES.items()}
_LARGEST = 1 << 40
_LONGEST_ENTRY = 4096

_TEXT = r'"(?:[^"\\\x00-\x1f]++|\\.)*+"'
_SPACE = r"[ \t\r\n]*+"
_ENTRY = re.compile(rf'{_SPACE}({_TEXT}){_SPACE}:{_SPACE}(\{{(?:[^{{}}"]++|{_TEXT})*+\}}){_SPACE}([,}}])', re.DOTALL)
"""One entry of the table, and what follows it. Read one by one: a parser of JSON makes much of a few bytes."""
_MALFORMED = "The file's safetensors header is damaged, or not written by the safetensors package."


def is_safetensors(head: bytes, size: int) -> bool:
    """Do a file's first nine bytes, and its size, look like this format? No zip archive's do."""
    length = int.from_bytes(head[:LENGTH], "little")
    return len(head) > LENGTH and head[LENGTH : LENGTH + 1] == b"{" and 2 <= length <= size - LENGTH


class SafetensorsFile:
    """Names, types and values of the tensors in a file. A context manager, like `Archive`, and used like it."""

    def __init__(self, content: mmap.mmap | bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> None:
        self._content = content
        self._memory: Array | None = np.frombuffer(memoryview(content).cast("B"), np.uint8)
        self.nbytes = self._memory.nbytes
        """Size of the file."""
        if self.nbytes > limits.file_size:
            raise ArchiveError("The file is too large.")
        head = self._memory[: LENGTH + 1].tobytes()
        if not is_safetensors(head, self.nbytes):
            raise ArchiveError(_MALFORMED)
        length = int.from_bytes(head[:LENGTH], "little")
        if length > limits.header_size:
            raise ArchiveError("The file's safetensors header is too large.")
        try:
            table = self._memory[LENGTH : LENGTH + length].tobytes().decode()
        except UnicodeDecodeError:
            raise ArchiveError(_MALFORMED) from None
        places = {info.name: (info, start) for info, start in _read_table(table, limits)}
        _check_layout([(start, info.nbytes) for info, start in places.values()], self.nbytes - LENGTH - length)
        self._starts = {name: LENGTH + length + start for name, (_info, start) in places.items()}
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType({name: info for name, (info, _) in places.items()})
        """By name, in the order of the table."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Arrays that were handed out stay valid: the map lives as long as they do."""
        self._memory = None

    def array(self, name: str) -> Array:
        """A read-only view on a tensor's values. Raises KeyError for an unknown name, ValueError once it is closed."""
        if self._memory is None:
            raise ValueError("The file is closed.")
        info = self.tensors[name]
        return np.ndarray(info.shape, DTYPES[info.dtype], self._memory, self._starts[name] if info.size else 0)

    def verify_checksums(self) -> None:
        """The format has none."""


def _read_table(table: str, limits: Limits) -> Iterator[tuple[TensorInfo, int]]:
    """Each tensor, and where its bytes begin."""
    known: set[str] = set()
    if table.rstrip(" ") == "{}":
        return
    at = 1
    while True:
        found = _ENTRY.match(table, at)
        if found is None:
            raise ArchiveError(_MALFORMED)
        name = _parse(found[1])
        if type(name) is not str or name in known:
            raise ArchiveError(f"The file holds two tensors named {quoted(name)}." if name in known else _MALFORMED)
        known.add(name)
        if name != METADATA:
            if len(known) > limits.header_entries:
                raise ArchiveError("The file holds too many tensors.")
            yield _describe(name, found[2], limits)
        at = found.end()
        if found[3] == "}":
            break
    if table[at:].strip(" "):
        raise ArchiveError(_MALFORMED)


def _describe(name: str, entry: str, limits: Limits) -> tuple[TensorInfo, int]:
    if len(name) > limits.tensor_name or not name.isprintable():
        raise ArchiveError(f"The tensor name {quoted(name)} is too long or not printable.")
    fields = _parse(entry) if len(entry) <= _LONGEST_ENTRY else {}
    match fields:
        case {"dtype": str(code), "shape": [*shape], "data_offsets": [start, stop]} if len(fields) == 3:
            numbers = [*shape, start, stop]
        case _:
            raise ArchiveError(_MALFORMED)
    if code not in _TYPES:
        raise ArchiveError(f"The tensor {quoted(name)} is of the type {quoted(code)}, which is not supported.")
    if len(shape) > limits.dimensions or any(type(one) is not int or not 0 <= one <= _LARGEST for one in numbers):
        raise ArchiveError(f"The tensor {quoted(name)} has an invalid shape or place.")
    info = TensorInfo(name, _TYPES[code], tuple(shape), name, 0, _contiguous(shape))
    if info.nbytes != stop - start:
        raise ArchiveError(f"The tensor {quoted(name)} does not have the size that its shape gives.")
    return info, start


def _contiguous(shape: list[int]) -> tuple[int, ...]:
    """The strides, in elements, of an array without gaps."""
    return tuple(accumulate(reversed(shape[1:]), mul, initial=1))[::-1] if shape else ()


def _parse(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):  # ValueError: also of a number with thousands of digits
        raise ArchiveError(_MALFORMED) from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ArchiveError(_MALFORMED)
    return dict(pairs)


_DECODER = json.JSONDecoder(object_pairs_hook=_without_repeats)


def _check_layout(places: list[tuple[int, int]], size: int) -> None:
    """Each tensor begins where another ends: none overlaps another, nothing lies hidden between them."""
    at = 0
    for start, length in sorted(places):
        if start != at:
            raise ArchiveError("The file's tensors overlap, or have other bytes between them.")
        at += length
    if at != size:
        raise ArchiveError("The file does not end with its last tensor: it was cut off, or something was appended.")
