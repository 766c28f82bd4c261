"""Downloads that go on where they broke off, and are compared with the digest that the server names."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import httpx

from .errors import Damaged, Refused, Unreachable
from .retrying import may_help

Pause = Callable[[float | None, httpx.Response | None, str], bool]
Progress = Callable[[int, int | None], None]
"""Called with the bytes that have arrived, or were sent, and those that there are; None: unknown."""
DIGEST = re.compile(r'"([0-9a-f]{64})"')
IN_MEMORY = 64 * 2**20
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}


class Download:
    """One file. A lost connection costs what is missing, not what has arrived: RFC 9110, sections 13.1.5 and 14.

    direct: ask the server for the file's address in its bucket, and fetch it from there, without the token. If nothing
    comes from there, the server sends it.
    """

    def __init__(
        self,
        http: httpx.Client,
        path: str,
        query: Mapping[str, str],
        *,
        pauses: Sequence[float],
        pause: Pause,
        progress: Progress = lambda _done, _total: None,
        direct: bool = False,
    ) -> None:
        self._http, self._path, self._query, self._direct = http, path, query, direct
        self._pauses, self._pause, self._progress = pauses, pause, progress
        self._tag = ""

    def content(self) -> bytes:
        """The file's bytes. Raises Refused, Unreachable, Damaged."""
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
            self._fetch(file)
            file.seek(0)
            return file.read()

    def write_to(self, path: Path) -> None:
        """Write the file beside `path`, and give it its name once it is complete. Raises as `content`."""
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with part.open("w+b") as file:
                self._fetch(file)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _fetch(self, file: BinaryIO | tempfile.SpooledTemporaryFile[bytes]) -> None:
        left = list(self._pauses)
        while True:
            before = file.tell()
            response, problem = self._try(file)
            if not problem:
                return self._check(file)
            if file.tell() > before:
                left = list(self._pauses)  # it moves: begin with short pauses again
            if not self._pause(left.pop(0) if left else None, response, f"GET {self._path}: {problem}"):
                raise Unreachable(f"GET {self._path} failed: {problem}")

    def _try(self, file: BinaryIO | tempfile.SpooledTemporaryFile[bytes]) -> tuple[httpx.Response | None, str]:
        """Receive what is missing. Returns: the response, and what went wrong; "" if the file is complete."""
        response: httpx.Response | None = None
        at = file.tell()
        try:
            with self._ask(at) as response:
                if response.has_redirect_location:
                    return self._try_elsewhere(response, file)
                if not response.is_success:
                    response.read()
                    if may_help(response):
                        return response, f"status {response.status_code}"
                    raise Refused.by(response)
                self._tag = response.headers.get("ETag", "")
                self._receive(response, file)
        except httpx.TransportError as error:
            return response, f"{type(error).__name__}: {error}"
        return response, ""

    def _ask(self, at: int) -> AbstractContextManager[httpx.Response]:
        headers = dict(HEADERS)
        if at and self._tag:
            headers |= {"Range": f"bytes={at}-", "If-Range": self._tag}
        query = {**self._query, **({"direct": "1"} if self._direct else {})}
        return self._http.stream("GET", self._path, params=query, headers=headers)

    def _try_elsewhere(
        self, response: httpx.Response, file: BinaryIO | tempfile.SpooledTemporaryFile[bytes]
    ) -> tuple[httpx.Response | None, str]:
        """Receive from the address that the server names. It gets no header of ours: the token is for the server."""
        tag = response.headers.get("ETag", "")
        if not tag or tag != self._tag:
            file.seek(0)
            file.truncate()
        self._tag, at = tag, file.tell()
        headers = {**HEADERS, **({"Range": f"bytes={at}-"} if at else {})}
        problem = ""
        try:
            with httpx.stream(
                "GET", response.headers["Location"], headers=headers, timeout=self._http.timeout, trust_env=False
            ) as found:
                if found.is_success:
                    self._receive(found, file)
                else:
                    problem = f"status {found.status_code} from {found.url.host}"
        except httpx.TransportError as error:
            problem = f"{type(error).__name__} from {httpx.URL(response.headers['Location']).host}: {error}"
        self._direct = not problem or file.tell() > at  # nothing comes from there: the server can send it
        return response, problem

    def _receive(self, response: httpx.Response, file: BinaryIO | tempfile.SpooledTemporaryFile[bytes]) -> None:
        if response.status_code != 206:
            file.seek(0)
            file.truncate()
        length = response.headers.get("Content-Length", "")
        total = file.tell() + int(length) if length.isdigit() else None
        for chunk in response.iter_bytes():
            file.write(chunk)
            self._progress(file.tell(), total)

    def _check(self, file: BinaryIO | tempfile.SpooledTemporaryFile[bytes]) -> None:
        named = DIGEST.fullmatch(self._tag)
        if named is None:
            return
        digest = hashlib.sha256()
        file.seek(0)
        while chunk := file.read(2**20):
            digest.update(chunk)
        if digest.hexdigest() != named[1]:
            raise Damaged(f"GET {self._path}: the file's SHA-256 is {digest.hexdigest()}, announced was {named[1]}.")
