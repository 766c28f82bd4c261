"""Redis as Celery's broker, for workers that outlive it, and whatever somebody has put into it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ResponseError

logger = logging.getLogger(__name__)
DROPPED = (
    "A message in Redis (%s) isn't one of this server's, and is dropped: %s. Does another program use this database of "
    "Redis?"
)
SHOWN = 100
"""Characters of a message that the log shows."""


class QoS(kombu_redis.QoS):
    """What workers have taken and not yet done.

    Where Redis refuses to hear that a message is done, and the connection stands, the message would hold one of the
    worker's places for ever, and a worker without a free one takes no more. So the place is freed; the message comes
    again in an hour, to a task that finds nothing to do.
    """

    def ack(self, delivery_tag: Any) -> None:
        with self._freeing(delivery_tag):
            super().ack(delivery_tag)

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        with self._freeing(delivery_tag):
            super().reject(delivery_tag, requeue)

    @contextmanager
    def _freeing(self, delivery_tag: Any) -> Iterator[None]:
        try:
            yield
        except ResponseError:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put back a message whose worker fell silent. One that can't be read would hold up the others for ever."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except (KeyError, TypeError, ValueError) as error:
            logger.error(DROPPED, self.unacked_key, repr(error)[:SHOWN])
            channel: Any = self.channel
            with channel.conn_or_acquire(client) as acquired, acquired.pipeline() as pipe:
                self._remove_from_indices(tag, pipe).execute()  # type: ignore[attr-defined]  # missing in its types


class Channel(kombu_redis.Channel):
    """A channel that says so when its connection has been given up.

    A message may still be acknowledged or put back through a channel whose broker went away while the task ran. Kombu
    reads the address from a connection that has none any more, and the worker ends itself over the AttributeError; an
    error of the connection it would have survived.
    """

    QoS = QoS

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        if client is None and getattr(self.connection, "client", None) is None:
            raise ConnectionLost("The connection to the broker has been given up; its messages come again.")
        with super().conn_or_acquire(client) as acquired:
            yield acquired

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # missing in its types
        except ValueError as error:  # it isn't JSON: kombu would let it end the worker
            logger.error(DROPPED, "not JSON", repr(error)[:SHOWN])
            raise Empty from None


class Transport(kombu_redis.Transport):
    """Delivers what this server may have sent. Whatever else it is, it ends no worker.

    A Redis that answers and refuses (its memory is full, it is a replica, a key is another program's) counts as one
    that is away: the worker tries again. Kombu's own transport lets the refusal end the worker.
    """

    Channel = Channel
    connection_errors = (*kombu_redis.Transport.connection_errors, ResponseError)

    def _deliver(self, message: Any, queue: Any) -> None:
        if not is_message(message):
            logger.error(DROPPED, queue, repr(message)[:SHOWN])
            return
        try:
            super()._deliver(message, queue)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            logger.error(DROPPED, queue, repr(error)[:SHOWN], exc_info=True)


def is_message(message: Any) -> bool:
    """Has it the parts that every message has? kombu takes them for granted."""
    if not isinstance(message, dict) or not isinstance(properties := message.get("properties"), dict):
        return False
    information, headers = properties.get("delivery_info"), message.get("headers")
    return (
        isinstance(properties.get("delivery_tag"), str)
        and isinstance(information, dict)
        and {"exchange", "routing_key"} <= information.keys()
        and isinstance(message.get("body"), str)
        and isinstance(headers, dict)
    )
