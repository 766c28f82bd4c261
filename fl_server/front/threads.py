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

    def opened(self, connection: Connection) -> None: ...

    def closed(self, connection: Connection) -> None: ...

    def note_waiting(self, connection: Connection, *, is_waiting: bool) -> None: ...

    def check(self, environ: WSGIEnvironment, then: Callable[[Known], None]) -> None: ...

    def store(self, body: Body, then: Callable[[bool], None]) -> None: ...

    def run(self, environ: WSGIEnvironment, body: Body, then: Callable[[Answer], None]) -> None: ...

    def read(self, answer: Answer, size: int) -> asyncio.Future[bytes]: ...

    def discard(self, thing: Body | Answer) -> None: ...
