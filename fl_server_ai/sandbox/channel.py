"""Messages to and from sandboxed processes: a JSON header and raw blobs, never a pickle.

A process that has run a hostile model is hostile itself. So whatever is read here is bounded before it is stored, and
becomes JSON and arrays of plain numbers, nothing else.

A message: 4 bytes length of the header, the header, the blobs one after another. Their sizes stand in its "blobs".
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAX_HEADER = 8 << 20
_CHUNK = 1 << 20
_LENGTH = struct.Struct("!I")
_DTYPES = frozenset(
    ["bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]
)

Blob = bytes | bytearray | memoryview
Array = np.ndarray[Any, np.dtype[Any]]


class ChannelClosed(Exception):
    """The other side is gone."""


class ChannelTimeout(Exception):
    """The other side did not send or take everything in time."""


class ProtocolError(Exception):
    """What the other side sent makes no sense, or is larger than was asked for."""


@dataclass(frozen=True)
class Message:
    """header: what the other side says, without its sizes of blobs."""

    header: dict[str, Any]
    blobs: list[bytearray] = field(default_factory=list)


class Channel:
    """One end of a stream socket. Deadlines are values of time.monotonic(); None waits for ever."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream

    def close(self) -> None:
        self._stream.close()

    def send(self, header: Mapping[str, Any], blobs: Sequence[Blob] = (), deadline: float | None = None) -> None:
        """Raises ChannelClosed, ChannelTimeout."""
        views = [memoryview(blob).cast("B") for blob in blobs]
        text = json.dumps({**header, "blobs": [len(view) for view in views]}).encode()
        for part in (memoryview(_LENGTH.pack(len(text)) + text), *views):
            self._send_all(part, deadline)

    def receive(self, limit: int | None = None, deadline: float | None = None) -> Message:
        """The next message, whose blobs may together hold `limit` bytes. Raises Channel… and ProtocolError."""
        (length,) = _LENGTH.unpack(self._receive_all(_LENGTH.size, deadline))
        if length > MAX_HEADER:
            raise ProtocolError("The header is too long.")
        header = _parse_header(self._receive_all(length, deadline))
        sizes = header.pop("blobs", [])
        if not isinstance(sizes, list) or not all(type(size) is int and size >= 0 for size in sizes):
            raise ProtocolError("The sizes of the blobs make no sense.")
        if limit is not None and sum(sizes) > limit:
            raise ProtocolError("The message is larger than was asked for.")
        return Message(header, [self._receive_all(size, deadline) for size in sizes])

    def _send_all(self, view: memoryview, deadline: float | None) -> None:
        while view:
            self._set_timeout(deadline)
            try:
                sent = self._stream.send(view[:_CHUNK])
            except TimeoutError as error:
                raise ChannelTimeout from error
            except OSError as error:
                raise ChannelClosed from error
            view = view[sent:]

    def _receive_all(self, size: int, deadline: float | None) -> bytearray:
        # Grows with what arrives: a size that is only claimed costs nothing.
        content = bytearray()
        while len(content) < size:
            self._set_timeout(deadline)
            try:
                piece = self._stream.recv(min(_CHUNK, size - len(content)))
            except TimeoutError as error:
                raise ChannelTimeout from error
            except OSError as error:
                raise ChannelClosed from error
            if not piece:
                raise ChannelClosed
            content += piece
        return content

    def _set_timeout(self, deadline: float | None) -> None:
        if deadline is None:
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise ChannelTimeout
        self._stream.settimeout(left)


def blocking_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that wait, whatever the default timeout of this process: Celery sets one while it stops."""
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(True)
    return pair


def pack_arrays(arrays: Mapping[str, Array]) -> tuple[list[list[Any]], list[Blob]]:
    """A description of the arrays for a header (name, dtype, shape) and their bytes, C-ordered."""
    # ascontiguousarray gives a scalar a dimension; the shape is taken before.
    description = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    return description, [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays.values()]


def unpack_arrays(description: object, blobs: Sequence[Blob]) -> dict[str, Array]:
    """The arrays of a message, views of its blobs. Raises ProtocolError where description and blobs do not agree."""
    if not isinstance(description, list) or len(description) != len(blobs):
        raise ProtocolError("The arrays are not described.")
    arrays: dict[str, Array] = {}
    for entry, blob in zip(description, blobs, strict=True):
        match entry:
            case [str(name), str(dtype), list(shape)] if dtype in _DTYPES:
                arrays[name] = _array(dtype, shape, blob)
            case _:
                raise ProtocolError("An array's description makes no sense.")
    return arrays


def _array(dtype: str, shape: list[Any], blob: Blob) -> Array:
    if len(shape) > 64 or not all(type(size) is int and size >= 0 for size in shape):
        raise ProtocolError("An array's shape makes no sense.")
    if math.prod(shape) * np.dtype(dtype).itemsize != len(blob):
        raise ProtocolError("An array's bytes do not fill its shape.")
    return np.frombuffer(blob, dtype=dtype).reshape(shape)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON.")


def _parse_header(text: bytearray) -> dict[str, Any]:
    try:
        header = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("The header is not JSON.") from error
    if not isinstance(header, dict):
        raise ProtocolError("The header is not an object.")
    return header
