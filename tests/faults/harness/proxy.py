"""The way between two parties, with faults on it: it forwards HTTP requests one by one, each on its own connection.

Both ends close a connection after one exchange, so a request is its head and as many bytes as the head announces, and
an answer is all that comes until the end.
"""

from __future__ import annotations

import random
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.faults.harness.counting import injected

Address = tuple[str, int]
PATIENCE = 60.0


# Longer than the server waits for an answer. Nobody sets the event: it is a wait that ends with the process.
SILENT_SECONDS = 10.0
SILENT = threading.Event()


class WayLost(Exception):
    """The exchange ends here: the connection is closed without an answer."""


@dataclass(frozen=True)
class Request:
    head: bytes
    body: bytes

    @property
    def is_update(self) -> bool:
        """Is this the upload of an update?"""
        return self.head.startswith(b"POST /api/models/") and b"multipart" in self.head

    @property
    def content(self) -> bytes:
        return self.head + self.body


class Proxy:
    """Forwards to one of `targets()`, the next one if that does not listen. `fault`, if set, handles a request."""

    def __init__(self, targets: Callable[[], list[Address]]) -> None:
        self.targets = targets
        self.fault: Fault | None = None
        self._turn = random.Random(0)
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: Request) -> bytes:
        return self.forward(request) if self.fault is None else self.fault(self, request)

    def forward(self, request: Request) -> bytes:
        """Pass the request on, and return the answer.

        Raises:
            WayLost: nobody listens, or the other end went away without an answer.
        """
        with self.connect() as connection:
            return self.exchange(connection, request.content)

    def connect(self) -> socket.socket:
        """A connection to one of the targets. Raises WayLost if none of them listens."""
        targets = self.targets()
        self._turn.shuffle(targets)
        for target in targets:
            with suppress(OSError):
                return socket.create_connection(target, timeout=PATIENCE)
        raise WayLost

    @staticmethod
    def exchange(connection: socket.socket, content: bytes) -> bytes:
        """Send the rest of a request and read until the end. Raises WayLost if there is no answer."""
        received = bytearray()
        try:
            connection.sendall(content)
            while chunk := connection.recv(1 << 16):
                received += chunk
        except OSError as error:
            raise WayLost from error
        if not received:
            raise WayLost
        return bytes(received)


Fault = Callable[[Proxy, Request], bytes]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


def _handler(proxy: Proxy) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        timeout = PATIENCE

        def handle(self) -> None:
            with suppress(OSError, WayLost):
                self.wfile.write(proxy.answer(_read_request(self.rfile)))

    return Handler


def _read_request(stream: Any) -> Request:
    head, length = bytearray(), 0
    while True:
        line = stream.readline(1 << 16)
        if not line:
            raise WayLost
        head += line
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        if line == b"\r\n":
            break
    body = stream.read(length)
    if len(body) < length:
        raise WayLost
    return Request(bytes(head), body)


def cut(_proxy: Proxy, _request: Request) -> bytes:
    """The connection breaks."""
    injected("connection cut")
    raise WayLost


def lose_answer(proxy: Proxy, request: Request) -> bytes:
    """The request arrives, its answer does not."""
    proxy.forward(request)
    injected("answer lost")
    raise WayLost


def twice(proxy: Proxy, request: Request) -> bytes:
    """The request arrives twice, one after the other; the answer is that to the second."""
    proxy.forward(request)
    injected("message delivered twice")
    return proxy.forward(request)


def twice_at_once(proxy: Proxy, request: Request) -> bytes:
    """The request arrives twice at the same time."""
    other = threading.Thread(target=_forward_quietly, args=(proxy, request), daemon=True)
    other.start()
    injected("message delivered twice at once")
    try:
        return proxy.forward(request)
    finally:
        other.join(PATIENCE)


def _forward_quietly(proxy: Proxy, request: Request) -> None:
    with suppress(WayLost):
        proxy.forward(request)


def silence(_proxy: Proxy, _request: Request) -> bytes:
    """The connection is accepted and nothing is said, for longer than anybody listens."""
    injected("silence after a request")
    SILENT.wait(SILENT_SECONDS)
    raise WayLost


class Times:
    """A fault that the next `number` requests of a kind meet with; `is_over` is set with the last of them."""

    def __init__(self, fault: Fault, number: int, *, only_updates: bool = False) -> None:
        self.is_over = threading.Event()
        self._fault = fault
        self._left = number
        self._only_updates = only_updates
        self._lock = threading.Lock()

    def __call__(self, proxy: Proxy, request: Request) -> bytes:
        with self._lock:
            is_met = self._left > 0 and (request.is_update or not self._only_updates)
            self._left -= is_met
            if is_met and self._left == 0:
                self.is_over.set()
        return self._fault(proxy, request) if is_met else proxy.forward(request)


class StalledUpload:
    """The first upload of an update stops in its middle, is reported by `stalled`, and goes on when `go_on` is set."""

    def __init__(self) -> None:
        self.stalled = threading.Event()
        self.go_on = threading.Event()
        self.target: Address | None = None
        self._first = threading.Lock()

    def __call__(self, proxy: Proxy, request: Request) -> bytes:
        if not request.is_update or not self._first.acquire(blocking=False):
            return proxy.forward(request)
        half = len(request.content) - len(request.body) // 2
        with proxy.connect() as connection:
            self.target = connection.getpeername()[:2]
            connection.sendall(request.content[:half])
            self.stalled.set()
            self.go_on.wait(PATIENCE)
            return proxy.exchange(connection, request.content[half:])

    def wait(self) -> None:
        """Return when the upload stands still."""
        assert self.stalled.wait(PATIENCE), "no update was sent"
