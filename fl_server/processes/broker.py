"""Redis as Celery's broker, for workers that outlive it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as ConnectionLost


class Channel(kombu_redis.Channel):
    """A channel that says so when its connection has been given up.

    A message may still be acknowledged or put back through a channel whose broker went away while the task ran. Kombu
    reads the address from a connection that has none any more, and the worker ends itself over the AttributeError; an
    error of the connection it would have survived.
    """

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        if client is None and getattr(self.connection, "client", None) is None:
            raise ConnectionLost("The connection to the broker has been given up; its messages come again.")
        with super().conn_or_acquire(client) as acquired:
            yield acquired


class Transport(kombu_redis.Transport):
    Channel = Channel
