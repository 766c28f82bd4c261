"""How fast a client is: what it has sent and taken, and since when."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import sys
import termios
from time import monotonic

from fl_server.front.limits import Limits

KERNEL_BYTES = 128 * 1024


class Pace:
    """received, written: bytes so far, as the connection counts them. moved_at: when the client was last seen to send
    or to take something, by the monotonic clock.
    """

    def __init__(self, transport: asyncio.Transport, limits: Limits) -> None:
        self.received = 0
        self.written = 0
        self._transport = transport
        self._socket: socket.socket = transport.get_extra_info("socket")
        bound_kernel_buffer(self._socket)
        self._limits = limits
        self.begin()
        self.begin_idle(is_first=True)

    def begin(self) -> None:
        """A body, an answer or a refusal begins."""
        self._began = self.moved_at = self._window_at = monotonic()
        self._moved = self._window = self._count()

    def begin_idle(self, *, is_first: bool) -> None:
        """Nothing of the next request is there. A new connection is for a request; a kept one may wait for one."""
        self._header_by = monotonic() + (self._limits.header if is_first else self._limits.keepalive)
        self._has_header_begun = is_first

    def begin_header(self) -> None:
        """The first bytes of a request are there; more bytes give it no more time."""
        if not self._has_header_begun:
            self._has_header_begun = True
            self._header_by = monotonic() + self._limits.header

    def is_header_late(self, now: float) -> bool:
        return now > self._header_by

    def is_past(self, now: float, seconds: float) -> bool:
        """Have these seconds gone by since it began?"""
        return now > self._began + seconds

    def is_slow(self, now: float) -> bool:
        """Has nothing moved for too long, or too little in the time in which something has to move?"""
        count = self._count()
        if count != self._moved:
            self._moved, self.moved_at = count, now
        if now - self.moved_at > self._limits.silence:
            return True
        elapsed = now - self._window_at
        if elapsed < self._limits.silence:
            return False
        is_slow = count - self._window < self._limits.rate * elapsed
        self._window, self._window_at = count, now
        return is_slow

    def unsent(self) -> int:
        """Bytes that the client has not taken yet, those included that the kernel holds.

        The kernel takes no more before a good part of them has gone: by what it takes, a slow reader looks dead.
        """
        buffered = self._transport.get_write_buffer_size()
        if sys.platform != "linux":
            return buffered
        try:
            answer = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4))
        except (OSError, ValueError):  # it has been closed
            return buffered
        return buffered + int(struct.unpack("i", answer)[0])

    def forget_unsent(self) -> None:
        """Let the socket be closed with a reset."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _count(self) -> int:
        return self.received + self.written - self.unsent()


def bound_kernel_buffer(connection: socket.socket) -> None:
    """Let the kernel hold little that it can't send yet. Its own bound is megabytes for each client that won't read."""
    with contextlib.suppress(OSError, AttributeError):  # not every system has it
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_BYTES)
