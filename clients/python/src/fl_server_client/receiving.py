"""How notifications reach a participant: sent to its listener (push) or fetched from the server (pull)."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .errors import Refused, Rejected, Unreachable
from .inbox import Notification
from .participant_client import ParticipantClient
from .signatures import Forged, NotReady, Stale, Verifier

logger = logging.getLogger(__name__)
MAX_BODY = 64 * 1024
PAUSE_SECONDS = 1.0  # after a request that returned nothing


class Listener:
    """An HTTP server for notifications. It responds at once; the work is done later."""

    def __init__(
        self,
        take: Callable[[Notification], None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        verifier: Verifier | None = None,
    ) -> None:
        """Listen; port 0 takes a free one.

        take: called with each notification, at once; may raise Rejected. verifier: checks that messages come from the
        server; None: takes anyone's.

        Raises:
            OSError: it is impossible to listen there.
        """
        handler = type("Handler", (_Handler,), {"take": staticmethod(take), "verifier": verifier})
        self._server = (_IPv6Server if ":" in host else _Server)((host, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def url(self, receiver: str = "") -> str:
        """The message endpoint of a receiver."""
        host, port = self._server.server_address[:2]
        name = f"[{host!s}]" if ":" in str(host) else host
        return f"http://{name!s}:{port}/{receiver}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # a server that starts a round tells all participants of one listener at once


class _IPv6Server(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    take: Callable[[Notification], None]
    verifier: Verifier | None
    timeout = 30  # seconds without data before a connection is closed

    def do_POST(self) -> None:
        """Take a notification that the verifier accepts.

        Without a verifier, all that a forged message can do is make us call the server with our token.
        """
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.send_error(411 if not length.isdigit() else 413)
            return
        try:
            notification = self._read(self.rfile.read(int(length)))
        except Forged as error:
            logger.warning("refusing a notification from %s: %s", self.client_address[0], error)
            self.send_error(401)
            return
        except Stale as error:
            # Not a 4xx, which would be a rejection: if our clock is wrong, the server should send it again.
            logger.warning("not taking a notification from %s: %s", self.client_address[0], error)
            self.send_error(503)
            return
        except NotReady:
            self.send_error(503)  # the server sends it again
            return
        except ValueError:
            self.send_error(400)
            return
        try:
            self.take(notification)
        except Rejected:
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _read(self, content: bytes) -> Notification:
        # The id that is signed: whoever repeats a message could give it another X-Delivery-Id each time.
        delivery = self.verifier.check(dict(self.headers), content) if self.verifier else ""
        delivery = delivery or self.headers.get("X-Delivery-Id") or ""
        return Notification.parse(json.loads(content), delivery=delivery, receiver=self.path.strip("/"))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's name
        logger.debug(format, *args)


class Poller:
    """Fetches notifications in a separate thread, for participants that can't be reached from outside."""

    def __init__(self, client: ParticipantClient, take: Callable[[Notification], None], *, wait: int = 20) -> None:
        self._client, self._take, self._wait = client, take, wait
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="poller", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the current request."""
        self._stopping.set()

    def _poll(self) -> None:
        while not self._stopping.is_set():
            asked = time.monotonic()
            try:
                messages = self._client.notifications(self._wait)
                for message in messages:
                    self._take_in(message)
                # If many requests wait already, the server returns an empty list at once.
                if not messages and time.monotonic() - asked < PAUSE_SECONDS:
                    self._stopping.wait(PAUSE_SECONDS)
            except (Unreachable, Refused) as error:
                if not self._stopping.is_set():
                    logger.warning("fetching notifications failed: %s", error)
                self._stopping.wait(5.0)

    def _take_in(self, message: dict[str, Any]) -> None:
        delivery = str(message["id"])
        try:
            notification = Notification.parse(message, delivery=delivery)
        except ValueError:
            self._client.acknowledge(delivery, accept=False)
            return
        # Take it before acknowledging: if the acknowledgement is lost, it comes again and is ignored as a repeat.
        try:
            self._take(notification)
        except Rejected:
            self._client.acknowledge(delivery, accept=False)
            return
        self._client.acknowledge(delivery)
