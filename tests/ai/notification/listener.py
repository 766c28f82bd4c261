"""Receivers of notifications on loopback: real ones that speak HTTP/1.0, and some that misbehave."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 20.0
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True)
class Heard:
    """One request that a receiver got."""

    path: str
    headers: Message
    content: bytes

    @property
    def notification(self) -> Any:
        return json.loads(self.content)


@dataclass
class Listener:
    """A receiver that answers as `status`, or what `answer` returns, says and closes each connection."""

    port: int
    heard: list[Heard] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    answer: Callable[[Heard], int] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def types(self) -> list[str]:
        return [heard.notification["notification_type"] for heard in self.heard]


@contextmanager
def listening(tls: ssl.SSLContext | None = None, **behaviour: Any) -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard = Heard(self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"])))
            listener.heard.append(heard)
            self.send_response(listener.answer(heard) if listener.answer else listener.status)
            for name, value in listener.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(listener.body)

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        listener = Listener(server.server_port, **behaviour)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown()
            thread.join(PATIENCE)


@contextmanager
def misbehaving(talk: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A receiver of one connection: `talk` gets it, after what was sent first, and the event that the test is over."""
    over = threading.Event()

    def serve() -> None:
        try:
            connection, _address = server.accept()
        except TimeoutError:
            return
        with connection:
            connection.settimeout(PATIENCE)
            try:
                connection.recv(65536)
                talk(connection, over)
            except OSError:
                return  # the sender has hung up

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            over.set()
            thread.join(PATIENCE)


def closed_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
