"""The bytes of a connection: what is written is counted, and what can't be taken in yet waits in the socket."""

from __future__ import annotations

import asyncio

from fl_server.front.limits import Limits
from fl_server.front.pace import Pace

WRITE_BUFFER_BYTES = 256 * 1024


class Stream:
    """A transport, and the pace of the client behind it. Lives in the loop's thread alone."""

    def __init__(self, transport: asyncio.Transport, limits: Limits) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.pace = Pace(transport, limits)
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_paused = False

    def write(self, data: bytes | memoryview) -> None:
        """Hand over what is to be sent."""
        self.pace.written += len(data)
        self._transport.write(data)

    def write_together(self, *parts: bytes | None) -> None:
        """In one packet, if they are small. None stands for nothing."""
        self.write(b"".join(part for part in parts if part))

    def note_writable(self, is_writable: bool) -> None:
        """Is there room for more, by what the loop says?"""
        if is_writable:
            self._writable.set()
        else:
            self._writable.clear()

    async def wait_for_writing(self) -> None:
        """To be awaited before more is written."""
        await self._writable.wait()

    def pause(self) -> None:
        """Take nothing in."""
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Take in what comes."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    @property
    def is_closing(self) -> bool:
        """Has it been closed, by either side?"""
        return self._transport.is_closing()

    def end(self) -> None:
        """Say that nothing more comes, and go on receiving."""
        self._transport.write_eof()

    def close(self) -> None:
        """Close it once everything is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close it now."""
        self._transport.abort()
