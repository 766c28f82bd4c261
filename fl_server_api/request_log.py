"""A request's id, which its lines in the log share, and the line that each request gets."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

from fl_server_api.client_address import client_address, is_trusted_proxy
from fl_server_core.log_context import bind_ids, bound_ids_now, log_scope

access = logging.getLogger("fl_server.access")
HEADER = "X-Request-ID"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")
NOTE = "fl_server.request"
"""Where a WSGI environ keeps the note of its request. A header can't have this name."""
OF_TRACES = ("HTTP_TRACEPARENT", "HTTP_TRACESTATE", "HTTP_BAGGAGE")
MOST_OF_PATH = 512
CLIENT_LEFT = 499
"""The status of a request whose client left before there was a response, as nginx writes it."""


@dataclass
class RequestNote:
    """What is known of a request.

    is_served: the server that has the connection writes its line, not the middleware. began: by `perf_counter`. route:
    the pattern that its path fits; None: nobody has looked. ids: those that its other lines carry, too.
    """

    request_id: str
    is_served: bool = False
    began: float = field(default_factory=perf_counter)
    route: str | None = None
    ids: dict[str, object] = field(default_factory=dict)


def note_of(environ: MutableMapping[str, Any], *, is_served: bool = False) -> RequestNote:
    """The request's note, made where there is none.

    The id is the client's or the proxy's, if it is well-formed: up to 128 letters, digits, dots, hyphens and
    underscores. Only trusted proxies can say which trace a request belongs to.
    """
    note = environ.get(NOTE)
    if not isinstance(note, RequestNote):
        given = str(environ.get("HTTP_X_REQUEST_ID", ""))
        note = RequestNote(given if WELL_FORMED.fullmatch(given) else new_id(), is_served)
        environ[NOTE] = note
        if not is_trusted_proxy(str(environ.get("REMOTE_ADDR") or "")):
            for name in OF_TRACES:
                environ.pop(name, None)
    return note


def new_id() -> str:
    """An id for a request that brings none."""
    return uuid.uuid4().hex


class RequestLogMiddleware:
    """Binds the ids that the request's lines carry, and answers with the request's id.

    Under another web server than ours it writes the request's line, too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        note = note_of(request.META)
        with log_scope(request_id=note.request_id):
            response = self.get_response(request)
            note.route = request.resolver_match.route if request.resolver_match is not None else ""
            note.ids = {"user_id": _signed_in(request), **bound_ids_now()}
        response.headers.setdefault(HEADER, note.request_id)
        if not note.is_served:
            size = response.headers.get("Content-Length", "")
            bytes_in, bytes_out = _length(request.META), int(size) if size.isdecimal() else None
            write_line(request.META, note, response.status_code, bytes_in=bytes_in, bytes_out=bytes_out)
        return response

    def process_view(self, _request: HttpRequest, _view: object, _args: object, names: Mapping[str, Any]) -> None:
        """What the address says the request is about."""
        bind_ids(training_id=names.get("training_id"), delivery_id=names.get("notification_id"))


def _signed_in(request: HttpRequest) -> str:
    """Who has a session here, if the request has asked for it anyway."""
    return str(getattr(getattr(request, "_cached_user", None), "pk", None) or "")


def _length(meta: Mapping[str, Any]) -> int:
    size = str(meta.get("CONTENT_LENGTH") or "")
    return int(size) if size.isdecimal() and len(size) < 16 else 0


def write_line(
    environ: Mapping[str, Any],
    note: RequestNote,
    status: int,
    *,
    bytes_in: int,
    bytes_out: int | None,
    is_aborted: bool = False,
) -> None:
    """The line of a request. It holds no query, no header but the id and no body: secrets travel there.

    bytes_in, bytes_out: of the bodies; None: nobody has counted.
    """
    if not access.isEnabledFor(logging.INFO):
        return
    method, path = str(environ.get("REQUEST_METHOD", "-")), _path(environ)
    fields: dict[str, object] = {
        **note.ids,
        "method": method,
        "path": path,
        "status": status,
        "duration_ms": round((perf_counter() - note.began) * 1000, 1),
        "bytes_in": bytes_in,
        "address": client_address(environ),
        "request_id": note.request_id,
    }
    known = {"bytes_out": bytes_out, "route": note.route, "aborted": is_aborted or ""}
    fields = {name: value for name, value in {**fields, **known}.items() if value is not None and value != ""}
    access.info("%s %s %s", method, path, status, extra=fields)


def route_of(path: str) -> str:
    """The pattern that a path fits, for requests that Django doesn't see."""
    with suppress(Resolver404):
        return resolve(path).route
    return ""


def _path(environ: Mapping[str, Any]) -> str:
    path = str(environ.get("PATH_INFO", "-")).encode("latin-1", "replace").decode("utf-8", "replace")
    return path if len(path) <= MOST_OF_PATH else path[:MOST_OF_PATH] + "…"
