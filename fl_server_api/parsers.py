"""Readers of request bodies: all bodies are UTF-8, bounded, and either understood or refused with a 4xx."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import IO, Any

from django.conf import settings
from django.http import QueryDict, UnreadablePostError
from django.utils.http import parse_header_parameters
from rest_framework import parsers
from rest_framework.exceptions import APIException, ParseError
from rest_framework.utils.json import strict_constant

from fl_server_api.body_limits import MEGABYTE, PLAIN_BYTES, BodyKind, largest_of_view, size_in_words
from fl_server_core.storage import StorageUnavailable, storage_errors
from fl_server_core.validators import MAX_JSON_DEPTH

TAIL_BYTES = 4096
TOO_MANY_DIGITS = "a number has more digits than the server reads"
MAX_LISTS = 1_000_000
"""Lists and objects in one body of JSON. Each takes some thirty times the memory that its brackets take."""


class RequestTooLarge(APIException):
    status_code = 413
    default_detail = "The request is too large."
    default_code = "too_large"


class JSONParser(parsers.JSONParser):
    """JSON of bounded size and depth. The depth is bounded because what follows walks it recursively."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        del media_type  # UTF-8, whatever it says
        body = _read(stream, parser_context)
        if body.count(b"[") + body.count(b"{") > MAX_LISTS:
            raise RequestTooLarge(f"The JSON holds more than {MAX_LISTS} lists and objects.")
        try:
            value = json.loads(body.decode(), parse_constant=strict_constant)
        except UnicodeDecodeError:
            raise ParseError("JSON parse error - the text is not UTF-8") from None
        except json.JSONDecodeError as error:
            raise ParseError(f"JSON parse error - {error}") from None
        except ValueError as error:
            sentence = TOO_MANY_DIGITS if "digits" in str(error) else str(error)
            raise ParseError(f"JSON parse error - {sentence}") from None
        except RecursionError:
            raise ParseError(f"JSON parse error - nested more than {MAX_JSON_DEPTH} deep") from None
        _refuse_depth(value)
        return value


class AnyTypeJSONParser(JSONParser):
    """JSON, whatever the Content-Type says: `curl -d` without a header says that it sends a form."""

    media_type = "*/*"


class FormParser(parsers.FormParser):
    """A urlencoded form."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        del media_type  # UTF-8, whatever it says
        return QueryDict(_read(stream, parser_context), encoding="utf-8")


class MultiPartParser(parsers.MultiPartParser):
    """A multipart form. Its files stream to the disk as they arrive; one that was cut off is refused."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> parsers.DataAndFiles[Any, Any]:
        context = {**(parser_context or {}), "encoding": "utf-8"}
        _refuse_upload_size(context["request"].META.get("CONTENT_LENGTH"))
        remembering = _TailStream(stream)
        with _disk_errors():
            form = super().parse(remembering, media_type, context)  # type: ignore[arg-type]  # reads are all it needs
            remembering.exhaust()
        if not remembering.is_complete(media_type or ""):
            raise ParseError("Multipart form parse error - the closing boundary is missing")
        return form


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """A form's files are written while it is read. Lost connections have a class; other errors are the disk's."""
    try:
        with storage_errors():
            yield
    except StorageUnavailable as error:
        if isinstance(error.__cause__, UnreadablePostError):
            raise error.__cause__ from None
        raise


class _TailStream:
    """A stream that remembers its last bytes. Django's parser takes a file that was cut off for a whole one."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._tail = b""

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self._tail = (self._tail + chunk[-TAIL_BYTES:])[-TAIL_BYTES:]
        return chunk

    def exhaust(self) -> None:
        while self.read(MEGABYTE):
            pass

    def is_complete(self, content_type: str) -> bool:
        boundary = str(parse_header_parameters(content_type)[1].get("boundary", ""))
        return f"--{boundary}--".encode() in self._tail


def _read(stream: IO[bytes], context: Mapping[str, Any] | None) -> bytes:
    """The whole body. Django bounds only bodies that it reads itself.

    JSON can take twenty times its size in memory: where only files are large, it may be no larger than elsewhere.
    """
    view = (context or {}).get("view")
    most = PLAIN_BYTES if getattr(view, "body_kind", None) is BodyKind.FILES else largest_of_view(view)
    body = stream.read(most + 1)
    if len(body) > most:
        raise RequestTooLarge(f"The request is larger than {size_in_words(most)}.")
    return body


def _refuse_upload_size(content_length: str | None) -> None:
    limit = settings.FL_MAX_UPLOAD_MB
    if settings.FL_MAX_STORAGE_MB:  # what could not be kept need not be read; a megabyte for the other fields
        limit = min(limit, settings.FL_MAX_STORAGE_MB + 1)
    if int(content_length or 0) > limit * MEGABYTE:
        raise RequestTooLarge(f"The upload is larger than {limit} MB.")


def _refuse_depth(value: Any) -> None:
    """Look level by level, without recursion: a large input to a model has millions of numbers, but few levels."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_JSON_DEPTH + 1):
        if not level:
            return
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
    raise ParseError(f"JSON parse error - nested more than {MAX_JSON_DEPTH} deep")
