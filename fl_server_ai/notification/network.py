"""The way to a receiver: addresses that may be connected to, and one deadline over everything that is waited for.

httpcore's own timeouts start anew with each read: a receiver that sends a byte now and then would hold a worker for
ever. Here every wait gets what is left of one deadline. That needs no event loop, and works in threads and processes.
"""

from __future__ import annotations

import logging
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from fl_server_ai.notification.addresses import AddressPolicy

logger = logging.getLogger(__name__)

ADDRESS_REFUSED = "Notifications can't be sent to this address. Use a public one, or ask the operator to allow it."
PORT_REFUSED = "Notifications can't be sent to this port. Use 80 or 443, or ask the operator to allow it."


class AddressRefused(Exception):
    """The policy allows no address of this host, or not its port.

    The text is the same for all: who names an endpoint must not learn which internal addresses a name has.
    """


class Deadline:
    """A moment, `seconds` from now, at which all waiting ends."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until then; raises httpcore.TimeoutException when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException("The deadline has passed.")
        return left


class BoundedStream(httpcore.NetworkStream):
    """A connection on which no wait outlasts the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002  the deadline stands for it
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002  the deadline stands for it
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002  the deadline stands for it
    ) -> httpcore.NetworkStream:
        return BoundedStream(
            self._stream.start_tls(ssl_context, server_hostname, self._deadline.left()), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class BoundedBackend(httpcore.NetworkBackend):
    """Opens connections within the deadline, and only to addresses that the policy permits (None: to all).

    The address that was checked is the one connected to: a name that resolves differently the second time gains
    nothing.
    """

    def __init__(self, deadline: Deadline, policy: AddressPolicy | None) -> None:
        self._deadline = deadline
        self._policy = policy
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  the deadline stands for it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Try the host's addresses in turn; raises AddressRefused, or the httpcore exception of the last one."""
        if self._policy is not None and not self._policy.permits_port(port):
            raise AddressRefused(PORT_REFUSED)
        addresses = self._permitted(host, resolve(host, port, self._deadline))
        for position, address in enumerate(addresses, start=1):
            # An equal share for each: one that swallows packets leaves time for the next.
            share = self._deadline.left() / (len(addresses) - position + 1)
            try:
                stream = self._sockets.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if position == len(addresses):
                    raise
            else:
                return BoundedStream(stream, self._deadline)
        raise httpcore.ConnectError(f"{host} has no address.")

    def _permitted(self, host: str, addresses: list[str]) -> list[str]:
        if self._policy is None:
            return addresses
        permitted = [address for address in addresses if self._policy.permits(address)]
        if addresses and not permitted:
            shown = ", ".join(addresses)
            logger.warning(
                "No notification to %r: %s is not public, and not in FL_NOTIFICATION_ALLOWED_NETWORKS.", host, shown
            )
            raise AddressRefused(ADDRESS_REFUSED)
        return permitted


def resolve(host: str, port: int, deadline: Deadline) -> list[str]:
    """The host's addresses, each once, in the system's order.

    Raises:
        httpcore.ConnectError: the name is not known.
        httpcore.TimeoutException: the deadline passed first.
    """
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except OSError as error:
            answers.put(error)

    # Nothing interrupts the system's resolver: it is asked in a thread, which is left behind if it takes too long.
    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise httpcore.ConnectTimeout(f"{host} was not resolved in time.") from None
    if isinstance(answer, OSError):
        raise httpcore.ConnectError(f"{host} cannot be resolved: {answer.strerror}") from answer
    return answer
