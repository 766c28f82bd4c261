"""How notifications reach a participant: sent to its listener (push) or fetched from the server (pull)."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from examples.client import ParticipantClient, Refused, Unreachable
from examples.signatures import Forged, NotReady, Verifier

logger = logging.getLogger(__name__)
ROUNDS = ("UPDATE_ROUND_START", "SWAG_ROUND_START", "MODEL_TEST_ROUND")
MAX_BODY = 64 * 1024
REMEMBERED = 10_000
PAUSE_SECONDS = 1.0  # after a request that returned nothing


@dataclass(frozen=True)
class Notification:
    """A notification. `receiver` is the path it was sent to: one listener may serve many participants."""

    type: str
    training: str
    body: Mapping[str, Any] = field(default_factory=dict)
    delivery: str = ""
    receiver: str = ""

    @classmethod
    def parse(cls, message: Any, *, delivery: str = "", receiver: str = "") -> Notification:
        """Read a message.

        Raises:
            ValueError: the message isn't a notification.
        """
        try:
            kind, training, body = message["notification_type"], message["training_uuid"], message["body"]
            if kind in ROUNDS:
                int(body["round"]), str(body["global_model_uuid"])
        except (TypeError, KeyError) as error:
            raise ValueError("the message is not a notification") from error
        return cls(str(kind), str(training), body, delivery, receiver)

    @property
    def round(self) -> int:
        """The round that the notification starts; -1 if it starts none."""
        return int(self.body["round"]) if self.type in ROUNDS else -1

    @property
    def model(self) -> str:
        """The model to work on: the global model or, with FedDC, another participant's update."""
        return str(self.body["global_model_uuid"])

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for repeats of a notification: the delivery's id or, without one, the content."""
        if self.delivery:
            return (self.delivery,)
        return (self.receiver, self.type, self.training, json.dumps(dict(self.body), sort_keys=True, default=str))


class Agenda:
    """Notifications still to handle, in order of arrival, without repeats and without rounds that are over.

    Listener threads put them in; one worker thread takes them out.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Notification] = deque()
        self._seen: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._newest: dict[tuple[str, str], int] = {}
        self._closed = False

    def put(self, notification: Notification) -> None:
        """Add a notification, unless it was seen before."""
        with self._changed:
            if notification.key in self._seen:
                logger.info("ignoring a repeated %s", notification.type)
                return
            self._seen[notification.key] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            self._look_ahead(notification)
            self._waiting.append(notification)
            self._changed.notify()

    def get(self) -> Notification | None:
        """Wait for the next notification; return None after `close`."""
        with self._changed:
            while not self._closed:
                while self._waiting:
                    notification = self._waiting.popleft()
                    if not self._is_over(notification):
                        return notification
                    logger.info("skipping %s of round %d: it is over", notification.type, notification.round)
                self._changed.wait()
            return None

    def close(self) -> None:
        """End the wait in `get`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _look_ahead(self, notification: Notification) -> None:
        """Note the training's newest round, so that a slow participant can skip rounds that are over."""
        place = (notification.receiver, notification.training)
        if notification.type in ("TRAINING_START", "CLIENT_REMOVED"):
            self._newest.pop(place, None)
        if notification.type == "CLIENT_REMOVED":
            self._waiting = deque(n for n in self._waiting if (n.receiver, n.training) != place)
        if notification.type in ROUNDS:
            self._newest[place] = max(notification.round, self._newest.get(place, 0))

    def _is_over(self, notification: Notification) -> bool:
        place = (notification.receiver, notification.training)
        return notification.type in ROUNDS and notification.round < self._newest.get(place, 0)


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
        """verifier: checks that messages come from the server. None: anyone's are taken."""
        handler = type("Handler", (_Handler,), {"take": staticmethod(take), "verifier": verifier})
        self._server = ThreadingHTTPServer((host, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def url(self, receiver: str = "") -> str:
        """The message endpoint of a receiver."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/{receiver}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    take: Callable[[Notification], None]
    verifier: Verifier | None
    timeout = 30  # seconds without data before a connection is closed

    def do_POST(self) -> None:
        """Anyone who can reach the port can send a message. Only those that the verifier accepts are taken.

        Without one, all that a forged message can do is make us call the server with our token.
        """
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.send_error(411 if not length.isdigit() else 413)
            return
        content = self.rfile.read(int(length))
        try:
            # The id that is signed: whoever repeats a message could give it another X-Delivery-Id each time.
            delivery = self.verifier.check(dict(self.headers), content) if self.verifier else ""
            delivery = delivery or self.headers.get("X-Delivery-Id", "")
            notification = Notification.parse(json.loads(content), delivery=delivery, receiver=self.path.strip("/"))
        except Forged as error:
            logger.warning("refusing a notification from %s: %s", self.client_address[0], error)
            self.send_error(401)
            return
        except NotReady:
            self.send_error(503)  # the server sends it again
            return
        except ValueError:
            self.send_error(400)
            return
        self.take(notification)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

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
        self._take(notification)
        self._client.acknowledge(delivery)
