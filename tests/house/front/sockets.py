"""HTTP as bytes on a socket, for what no client library would send."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

SECONDS = 30.0


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def connected(url: str, *, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
        if receive_buffer is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        opened.settimeout(SECONDS)
        opened.connect((parts.hostname, parts.port))
        yield opened


def header(method: str, path: str, **fields: object) -> bytes:
    """A request's header; `content_length=3` is `Content-Length: 3`."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in fields.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_reply(opened: socket.socket, *, method: str = "GET") -> Reply:
    """The next answer, an interim one included."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = opened.recv(1)
        assert byte, f"The connection ended after {head!r}"
        head += byte
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(first.split()[1])
    size = 0 if method == "HEAD" or status < 200 else int(headers.get("content-length", "0"))
    body = b""
    while len(body) < size:
        data = opened.recv(min(65536, size - len(body)))
        assert data, f"The connection ended after {len(body)} of {size} bytes"
        body += data
    return Reply(status, headers, body)


def ask(url: str, request: bytes) -> Reply:
    """Send and read on a connection of its own."""
    with connected(url) as opened:
        opened.sendall(request)
        return read_reply(opened, method=request.split(b" ", 1)[0].decode())


def wait_for_end(opened: socket.socket, seconds: float = SECONDS) -> bytes:
    """What arrives until the server closes the connection; TimeoutError if it does not."""
    opened.settimeout(seconds)
    deadline = time.monotonic() + seconds
    data = b""
    with suppress(ConnectionError):
        while chunk := opened.recv(65536):
            data += chunk
            if time.monotonic() > deadline:
                raise TimeoutError
    return data
