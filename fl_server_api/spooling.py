"""Answers that may be long: made piece by piece, and kept on the disk until they are sent."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import IO

from django.conf import settings
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase

BYTES_IN_MEMORY = 4 * 1024 * 1024
Write = Callable[[IO[bytes]], None]


def spooled(write: Write, content_type: str, headers: Mapping[str, str] | None = None) -> HttpResponseBase:
    """Answer with what `write` writes. An error in the middle becomes a refusal, not half an answer."""
    body: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115  the answer closes it
        max_size=BYTES_IN_MEMORY, dir=str(settings.FILE_UPLOAD_TEMP_DIR)
    )
    try:
        write(body)
    except BaseException:
        body.close()
        raise
    size = body.tell()
    body.seek(0)
    if size > BYTES_IN_MEMORY:
        all_headers = {**(headers or {}), "Content-Length": str(size)}
        return FileResponse(body, content_type=content_type, headers=all_headers)
    with body:
        return HttpResponse(body.read(), content_type=content_type, headers=headers)
