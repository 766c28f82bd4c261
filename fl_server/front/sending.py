"""The head of an answer, and a large answer as its reader takes it: a piece of it in memory, and no thread."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import h11

from fl_server.front.answer import Answer
from fl_server_api.request_log import HEADER

if TYPE_CHECKING:
    from fl_server.front.connection import Connection
    from fl_server.front.threads import Threads

logger = logging.getLogger(__name__)
# Readers that take the first pieces get larger ones; one that never reads holds little.
FIRST_BYTES = 64 * 1024
MOST_BYTES = 1024 * 1024


def head_of(answer: Answer, request_id: str, *, is_last: bool) -> h11.Response:
    """is_last: the connection ends with this answer.

    Raises:
        h11.LocalProtocolError, ValueError: a header that can't be sent.
    """
    said = {name for name, _ in answer.headers}
    headers = [("Connection", "close")] if is_last and "Connection" not in said else []
    if HEADER not in said:  # Django's answers have it
        headers.append((HEADER, request_id))
    return h11.Response(
        status_code=answer.status,
        reason=answer.reason.encode("latin-1"),
        headers=[
            (name.encode("ascii"), value.strip().encode("latin-1")) for name, value in [*answer.headers, *headers]
        ],
    )


async def send(connection: Connection, http: h11.Connection, threads: Threads, answer: Answer) -> None:
    """Send the content after its header has been written; the connection is told, or closed if this fails."""
    stream = connection.stream
    try:
        size = FIRST_BYTES
        position = 0
        while not stream.is_closing:
            if isinstance(answer.content, bytes):
                block: bytes | memoryview = memoryview(answer.content)[position : position + size]
                position += size
            else:
                block = await threads.read(answer, size)
            if not block:
                break
            for part in http.send_with_data_passthrough(h11.Data(data=block)) or ():  # type: ignore[arg-type]  # a view does, too
                stream.write(part)
            await stream.wait_for_writing()
            size = min(size * 2, MOST_BYTES)
        if not stream.is_closing:
            stream.write(http.send(h11.EndOfMessage()) or b"")
            connection.answered()
    except (OSError, ValueError, h11.LocalProtocolError):
        if not stream.is_closing:
            # The file ended early or can't be read: the header has promised more, so the client has to notice.
            logger.exception("An answer broke off.", extra=connection.log_ids)
            stream.abort()
    finally:
        threads.discard(answer)
