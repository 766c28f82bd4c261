"""Sends a large answer as its reader takes it, holding a piece of it in memory and no thread."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import h11

from fl_server.front.answer import Answer

if TYPE_CHECKING:
    from fl_server.front.connection import Connection
    from fl_server.front.threads import Threads

logger = logging.getLogger(__name__)
# Readers that take the first pieces get larger ones; one that never reads holds little.
FIRST_BYTES = 64 * 1024
MOST_BYTES = 1024 * 1024


async def send(connection: Connection, http: h11.Connection, threads: Threads, answer: Answer) -> None:
    """Send the content after its header has been written; the connection is told, or closed if this fails."""
    try:
        size = FIRST_BYTES
        position = 0
        while not connection.transport.is_closing():
            if isinstance(answer.content, bytes):
                block: bytes | memoryview = memoryview(answer.content)[position : position + size]
                position += size
            else:
                block = await threads.read(answer, size)
            if not block:
                break
            for part in http.send_with_data_passthrough(h11.Data(data=block)) or ():  # type: ignore[arg-type]
                connection.write(part)
            await connection.wait_for_writing()
            size = min(size * 2, MOST_BYTES)
        if not connection.transport.is_closing():
            connection.write(http.send(h11.EndOfMessage()) or b"")
            connection.answered()
    except (OSError, ValueError, h11.LocalProtocolError):
        if not connection.transport.is_closing():
            # The file ended early or can't be read: the header has promised more, so the client has to notice.
            logger.exception("An answer broke off.", extra=connection.log_ids)
            connection.transport.abort()
    finally:
        threads.discard(answer)
