"""An answer, from the thread that made it to the loop that sends it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from tempfile import TemporaryFile
from time import time
from typing import IO, TYPE_CHECKING, Any, Protocol

from django.conf import settings
from django.utils.http import http_date

from fl_server.front.body import Body
from fl_server_api.middleware import NO_FILES, RETRY_SECONDS, bug
from fl_server_api.monitoring.paths import LIVEZ
from fl_server_api.request_log import note_of
from fl_server_api.wsgi import refusal_of_guess
from fl_server_core.log_context import reason_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)
# What is larger waits in a file for its reader.
MEMORY_BYTES = 1024 * 1024


ALIVE = b"ok\n"
_ALIVE_HEADERS = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", str(len(ALIVE))),
    ("Cache-Control", "no-store"),
]


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def close(self) -> object: ...


class FileWrapper:
    """`wsgi.file_wrapper`: says that the answer is a file, which needs no thread of Django's to be sent."""

    def __init__(self, filelike: Readable, block_size: int = 8192) -> None:
        self.filelike = filelike
        self._block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        while block := self.filelike.read(self._block_size):
            yield block

    def close(self) -> None:
        self.filelike.close()


@dataclass
class Answer:
    """content: all of it, or a file to be read, and closed, in a thread."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    content: bytes | Readable = field(default=b"", repr=False)

    @property
    def is_file(self) -> bool:
        """Does closing it take longer than a moment?"""
        return not isinstance(self.content, bytes)

    def close(self) -> None:
        """Close the file; it may be called twice."""
        if not isinstance(self.content, bytes):
            self.content.close()


def answer_to_guess(environ: WSGIEnvironment) -> Answer | None:
    """The refusal of those who are known to guess passwords: it costs less than a thread."""
    refused = refusal_of_guess(environ)
    if refused is None:
        return None
    return Answer(refused.status, refused.reason, [*refused.headers, ("Date", _date())], refused.body)


def answer_at_once(environ: WSGIEnvironment) -> Answer | None:
    """What needs no thread: whether this process is alive, and the refusal of a guess."""
    if environ["PATH_INFO"] == LIVEZ and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return Answer(200, "OK", [*_ALIVE_HEADERS, ("Date", _date())], ALIVE)
    return answer_to_guess(environ)


def refusal(status: int, sentence: str, path: str, retry_after: int | None = None) -> Answer:
    """An answer as the API's other errors: JSON; plain text for pages. The connection can't be used any further."""
    if path.startswith("/api/"):
        kind, content = "application/json", json.dumps({"detail": sentence}).encode()
    else:
        kind, content = "text/plain; charset=utf-8", sentence.encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(content))), ("Connection", "close")]
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    return Answer(status, HTTPStatus(status).phrase, [*headers, ("Date", _date())], content)


def answer_of(application: WSGIApplication, environ: WSGIEnvironment, body: Body) -> Answer:
    """Run the application on a request that has arrived. Never raises: whoever waits for the answer gets one."""
    try:
        return _run(application, environ, body)
    except OSError as error:
        # A full or missing disk fails every request: one line each, and no traceback.
        logger.warning("%s %s: %s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"], NO_FILES, reason_of(error))
        return refusal(503, NO_FILES, environ["PATH_INFO"], RETRY_SECONDS)
    except Exception:
        logger.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
        return refusal(500, bug(note_of(environ).request_id), environ["PATH_INFO"])
    finally:
        body.close()


def _run(application: WSGIApplication, environ: WSGIEnvironment, body: Body) -> Answer:
    said: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        del exc_info  # nothing has been sent yet, so the later call counts
        said[:] = [status, headers]
        return _no_write

    environ["wsgi.input"] = body.open()
    environ["CONTENT_LENGTH"] = str(body.size)
    result = application(environ, start_response)
    content, size = (result.filelike, None) if isinstance(result, FileWrapper) else _collect(result)
    status, reason = said[0].partition(" ")[::2]
    headers = [*said[1]] if _has(said[1], "Date") else [*said[1], ("Date", _date())]
    if size is not None and not _has(headers, "Content-Length") and int(status) not in (204, 304):
        headers.append(("Content-Length", str(size)))
    return Answer(int(status), reason, headers, content)


def _collect(result: Iterable[bytes]) -> tuple[bytes | Readable, int]:
    """What an application yields, and its size. It is closed here, in the thread that made it."""
    try:
        parts: list[bytes] = []
        size = 0
        iterator = iter(result)
        for part in iterator:
            parts.append(part)
            size += len(part)
            if size > MEMORY_BYTES:
                return _spill(parts, iterator)
        return b"".join(parts), size
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()


def _spill(parts: list[bytes], rest: Iterator[bytes]) -> tuple[IO[bytes], int]:
    file = TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115 - closed when it has been sent
    file.writelines(parts)
    file.writelines(rest)
    size = file.tell()
    file.seek(0)
    return file, size


def _has(headers: list[tuple[str, str]], wanted: str) -> bool:
    return any(name.lower() == wanted.lower() for name, _ in headers)


def _no_write(_data: bytes) -> None:
    raise NotImplementedError("Django does not use it.")


def _date() -> str:
    return _date_of(int(time()))


@lru_cache(maxsize=1)
def _date_of(second: int) -> str:
    """Written once a second, however many answers carry it."""
    return http_date(second)
