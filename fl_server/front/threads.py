"""What a connection asks of the server that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from fl_server.front.answer import Answer
from fl_server.front.body import Body
from fl_server.front.credentials import Known
from fl_server.front.limits import Limits

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from fl_server.front.connection import Connection


class Threads(Protocol):
    """Everything that may take time is done in threads; `then` is called in the loop."""

    limits: Limits
    is_stopping: bool

    def opened(self, connection: Connection) -> None:
        """A client has connected. At the bounds, one connection is closed: it, or another one."""

    def closed(self, connection: Connection) -> None:
        """It has come to its end."""

    def note_waiting(self, connection: Connection, *, is_waiting: bool) -> None:
        """One that waits holds nothing but its place: it is closed first where places are short."""

    def check(self, environ: WSGIEnvironment, then: Callable[[Known], None]) -> None:
        """Look at the credentials."""

    def store(self, body: Body, then: Callable[[bool], None]) -> None:
        """Write what is in memory to the disk. `then` is told whether that was possible."""

    def run(self, environ: WSGIEnvironment, body: Body, then: Callable[[Answer], None]) -> None:
        """Ask the application. The body is closed by then."""

    def read(self, answer: Answer, size: int) -> asyncio.Future[bytes]:
        """The next bytes of an answer that is a file; none at its end."""

    def discard(self, thing: Body | Answer) -> None:
        """Close it; it may be called twice."""
