"""Parts of files and conditions on them (RFC 9110, sections 13 and 14): what a download that broke off asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.db.models.fields.files import FieldFile
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date, quote_etag

from fl_server_core.storage import FarStorage

OCTETS = "application/octet-stream"
FARTHEST = 10**18
_SINGLE = re.compile(r"bytes\s*=\s*(?:(\d+)\s*-\s*(\d*)|-\s*(\d+))\s*", re.IGNORECASE | re.ASCII)


class Part(Protocol):
    """What a response needs of a part of a binary file."""

    def read(self, size: int = -1, /) -> bytes: ...

    def close(self) -> None: ...


class Readable(Part, Protocol):
    """What a response needs of a binary file."""

    def seek(self, position: int, whence: int = 0, /) -> int: ...


class Source(Protocol):
    """Where the bytes of a download come from."""

    def open(self) -> Readable:
        """The file, to be closed by the caller. Raises FileNotFoundError if the storage does not have it."""

    def open_part(self, part: range) -> Part:
        """Open these bytes only."""

    def size(self) -> int:
        """Bytes."""

    def address(self, filename: str) -> str | None:
        """A URL at which anyone may fetch the file for a while; None if it has none. Raises FileNotFoundError."""


@dataclass(frozen=True)
class Stored:
    """A file of the storage, as it is."""

    file: FieldFile

    def open(self) -> Readable:
        opened: Readable = self.file.storage.open(str(self.file.name), "rb")
        return opened

    def open_part(self, part: range) -> Part:
        """Fetches only these bytes from a bucket."""
        storage, name = self.file.storage, str(self.file.name)
        if isinstance(storage, FarStorage) and not storage.is_near(name):
            return storage.open_part(name, part)
        return Section(self.open(), part)

    def size(self) -> int:
        """Without opening it: a bucket's file is fetched by that."""
        return self.file.size

    def address(self, filename: str) -> str | None:
        """Of a bucket's file that is there: a bucket says so in its own words where it isn't."""
        storage, name = self.file.storage, str(self.file.name)
        if not isinstance(storage, FarStorage):
            return None
        found = storage.signed_address(name, filename)
        if found is not None and not self.file.storage.exists(name):
            raise FileNotFoundError(name)
        return found


@dataclass(frozen=True)
class Download:
    """A file as it is sent.

    etag: a name for its bytes that no others have. modified: None where that is not known. direct: the caller would
    rather be led to the storage.
    """

    source: Source
    filename: str
    etag: str
    modified: datetime | None = None
    direct: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """What is said of the whole file. The same path has other bytes after a round: caches have to ask."""
        said = {
            "ETag": quote_etag(self.etag),
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            "Content-Disposition": str(content_disposition_header(True, self.filename)),
        }
        return said if self.modified is None else {**said, "Last-Modified": http_date(self.modified.timestamp())}


def answer(request: HttpRequest, download: Download) -> HttpResponseBase:
    """Send the file, the part of it that is asked for, or word that the caller has it.

    Raises:
        FileNotFoundError: the storage does not have the file.
    """
    modified = None if download.modified is None else int(download.modified.timestamp())
    whole = HttpResponse(headers=download.headers, content_type=OCTETS)
    checked = get_conditional_response(request, quote_etag(download.etag), modified, whole)
    if checked is not None and checked is not whole:  # 304 or 412, without a look into the storage
        return checked if checked.status_code == 304 else _precondition_failed()
    if request.method == "HEAD":
        whole["Content-Length"] = str(download.source.size())
        return whole
    if download.direct and (address := download.source.address(download.filename)) is not None:
        return _elsewhere(address, download)
    asked = "" if _has_changed(request, download) else request.headers.get("Range", "")
    size = download.source.size() if asked else 0
    part = wanted_part(asked, size)
    if part is None:
        return _stream(download.source.open(), download)
    if not part:
        return _unsatisfiable(size)
    sent = _stream(download.source.open_part(part), download, status=206)
    sent["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    sent["Content-Length"] = str(len(part))
    return sent


def wanted_part(header: str, size: int) -> range | None:
    """The bytes that a Range header asks for; None: all of them; an empty range: some that the file does not have.

    Several ranges, other units and what can't be read mean the whole file, as the RFC allows.
    """
    found = _SINGLE.fullmatch(header.strip())
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        return range(max(size - _position(suffix), 0), size)
    if last and _position(last) < _position(first):
        return None
    return range(_position(first), min(_position(last) + 1, size) if last else size)


def _position(digits: str) -> int:
    """Python refuses to read thousands of digits; whatever lies beyond all files is as good as FARTHEST."""
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= 18 else FARTHEST


class Section:
    """A part of an open file, as an answer reads it: without `fileno`, so that a server can't send the whole file."""

    def __init__(self, file: Readable, part: range) -> None:
        file.seek(part.start)
        self._file = file
        self._left = len(part)

    def read(self, size: int = -1) -> bytes:
        """The next bytes; none at the section's end."""
        data = bytes(self._file.read(self._left if size < 0 else min(size, self._left)))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


def _has_changed(request: HttpRequest, download: Download) -> bool:
    """Is the rest asked for of another file than this? A date never proves that it is this one: it has only seconds."""
    condition = request.headers.get("If-Range", "").strip()
    return condition not in ("", quote_etag(download.etag))


class _Stream(FileResponse):
    block_size = 1 << 16


def _stream(file: Part, download: Download, status: int = 200) -> FileResponse:
    return _Stream(
        file,
        as_attachment=True,
        filename=download.filename,
        content_type=OCTETS,
        headers=download.headers,
        status=status,
    )


def _elsewhere(address: str, download: Download) -> HttpResponse:
    """Whoever has the address can read the file, so no cache may keep it. The ETag is the file's, not the storage's."""
    headers = {"Location": address, "ETag": quote_etag(download.etag), "Cache-Control": "no-store"}
    return HttpResponse(status=302, headers=headers)


def _precondition_failed() -> JsonResponse:
    sentence = "The file has changed: it doesn't match your condition."
    return JsonResponse({"detail": sentence}, status=412)


def _unsatisfiable(size: int) -> JsonResponse:
    headers = {"Content-Range": f"bytes */{size}"}
    return JsonResponse({"detail": f"The file has {size} bytes."}, status=416, headers=headers)
