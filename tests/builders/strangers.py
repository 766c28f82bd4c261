"""Connections without an account that ask for attention and never let a request come to its end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

HALF_A_HEADER = b"POST /api/users/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-"
HALF_A_BODY = (
    b"POST /api/users/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
    + b"[" * 30000
)
# Well above what the sockets of both sides take in: most of it has to wait in the server.
LARGE_PAGE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
NO_READER = f"GET {LARGE_PAGE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
KINDS = {"half a header": HALF_A_HEADER, "half a body": HALF_A_BODY, "not reading": NO_READER}


@contextmanager
def strangers(url: str, sent: bytes, count: int) -> Iterator[list[socket.socket]]:
    """`count` connections to the server at `url`, each of which has sent these bytes and reads nothing."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    address = (parts.hostname, parts.port or 80)
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            # Small, and set before the connection: a large page would otherwise lie in this side's memory.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.settimeout(30)
            one.connect(address)
            one.sendall(sent)
            opened.append(one)
        yield opened
