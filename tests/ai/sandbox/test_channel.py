"""Messages, also from a side that means harm."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import pytest

from fl_server_ai.sandbox.channel import (
    Channel,
    ChannelClosed,
    ChannelTimeout,
    ProtocolError,
    pack_arrays,
    unpack_arrays,
)


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    """Our end, and the other side's bare socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours), theirs


def raw(header: bytes, blobs: bytes = b"") -> bytes:
    return struct.pack("!I", len(header)) + header + blobs


def soon() -> float:
    return time.monotonic() + 10


def test_a_message_arrives_as_it_was_sent(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    Channel(theirs).send({"a": 1}, [b"one", b"", bytearray(b"three")])
    message = channel.receive(100, soon())
    assert message.header == {"a": 1}
    assert message.blobs == [b"one", b"", b"three"]


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("!I", 1 << 31),
        raw(b"no json"),
        raw(b"[" * 100_000),
        raw(b"[1]"),
        raw(b'{"x": NaN}'),
        raw(b'{"x": ' + b"9" * 5000 + b"}"),
        raw(b'{"blobs": 3}'),
        raw(b'{"blobs": [-1]}'),
        raw(b'{"blobs": [true]}'),
        raw(b'{"blobs": [101]}'),
        raw(b'{"blobs": [60, 60]}'),
        raw(b"\xff\xfe"),
    ],
)
def test_what_is_no_message_or_too_large_a_one_is_refused(pair: tuple[Channel, socket.socket], content: bytes) -> None:
    channel, theirs = pair
    theirs.sendall(content)
    with pytest.raises(ProtocolError):
        channel.receive(100, soon())


def test_a_side_that_stops_in_the_middle_runs_into_the_deadline(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.sendall(raw(b'{"blobs": [100]}', b"only this"))
    with pytest.raises(ChannelTimeout):
        channel.receive(100, time.monotonic() + 0.05)


def test_a_side_that_takes_nothing_runs_into_the_deadline(pair: tuple[Channel, socket.socket]) -> None:
    channel, _ = pair
    with pytest.raises(ChannelTimeout):
        channel.send({}, [bytes(50 << 20)], time.monotonic() + 0.05)


def test_a_side_that_is_gone_is_noticed(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.close()
    with pytest.raises(ChannelClosed):
        channel.receive(100, soon())
    with pytest.raises(ChannelClosed):
        channel.send({}, [bytes(1 << 20)], soon())


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6).reshape(2, 3).T,
        np.full((), 2.5),
        np.ones((0, 3), np.int8),
        np.array([True, False]),
        np.broadcast_to(np.float32(1), (2, 2)),
    ],
)
def test_arrays_arrive_with_type_and_shape(array: np.ndarray) -> None:
    description, blobs = pack_arrays({"x": array})
    back = unpack_arrays(json.loads(json.dumps(description)), blobs)["x"]
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    "description",
    [
        None,
        [],
        [["x", "object", [1]]],
        [["x", "float32", [3]]],
        [["x", "float32", [-2, -1]]],
        [["x", "float32", [1] * 65]],
        [["x", "float32", 2]],
        [["x", "float32", [2.0]]],
        [[1, "float32", [2]]],
        [["x", "float32"]],
        ["x"],
    ],
    ids=str,
)
def test_arrays_whose_description_does_not_fit_are_refused(description: object) -> None:
    with pytest.raises(ProtocolError):
        unpack_arrays(description, [bytes(8)])
