"""Notifications, and the order in which a participant handles them."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

logger = logging.getLogger(__name__)
ROUNDS = ("UPDATE_ROUND_START", "SWAG_ROUND_START", "MODEL_TEST_ROUND")
REMEMBERED = 10_000


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

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def get(self, timeout: float | None = None) -> Notification | None:
        """Wait for the next notification, at most `timeout` seconds. Return None after that, and after `close`."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._closed:
                while self._waiting:
                    notification = self._waiting.popleft()
                    if not self._is_over(notification):
                        return notification
                    logger.info("skipping %s of round %d: it is over", notification.type, notification.round)
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
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
