"""h11, without what it takes on and a proxy may read in another way.

Two programs that read one request differently can be made to disagree where it ends: the rest of a body would pass for
somebody else's request (RFC 9112, section 11.2).
"""

from __future__ import annotations

import re
from typing import Any

import h11

MAX_HEADER_BYTES = 64 * 1024
TOO_LONG = f"its header is larger than {MAX_HEADER_BYTES // 1024} KB"
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_FOLDED = re.compile(rb"\r\n[ \t]")


class StrictConnection(h11.Connection):
    """The server's side of a connection."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)

    def next_event(self) -> Any:
        """What has arrived.

        Raises:
            h11.RemoteProtocolError: it is not a request, or one that others may read differently.
        """
        if self.their_state is not h11.IDLE:
            return super().next_event()
        before = self.trailing_data[0]
        event = super().next_event()
        if isinstance(event, h11.Request):
            _refuse_loose(before[: len(before) - len(self.trailing_data[0])], event)
        return event


def reason_of(error: h11.RemoteProtocolError) -> str:
    """What is wrong with a request, without the bytes that h11 quotes as Python writes them."""
    text = str(error).partition(": bytearray(")[0].partition(" (expected")[0]
    return TOO_LONG if error.error_status_hint == 431 else text


def _refuse_loose(header: bytes, request: h11.Request) -> None:
    """header: as it was sent, to its blank line."""
    if len(header) > MAX_HEADER_BYTES:  # it has arrived in one piece: h11 bounds only what is incomplete
        raise h11.RemoteProtocolError(TOO_LONG, error_status_hint=431)
    if _BARE_LINE_FEED.search(header):
        raise h11.RemoteProtocolError("a line of its header ends without a carriage return")
    if _FOLDED.search(header):
        raise h11.RemoteProtocolError("a line of its header is folded")
    if {b"transfer-encoding", b"content-length"} <= {name for name, _ in request.headers}:
        raise h11.RemoteProtocolError("it has a Content-Length and a Transfer-Encoding")
