"""Answers that are lists: whole, or the part that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import IO, Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.renderers import JSONRenderer
from fl_server_api.serializers.generic import MAX_INTEGER, checked
from fl_server_api.spooling import spooled

Rows = QuerySet[Any] | Sequence[Any]
Represent = Callable[[Sequence[Any]], Sequence[Any]]
JSON = "application/json"
PIECE = 200
"""Rows that are made JSON at a time."""
PAGE = 100
LONGEST_PAGE = 1000


class PageQuery(serializers.Serializer[Any]):
    """Which part of a list is wanted; with neither, all of it."""

    limit = serializers.IntegerField(
        min_value=1,
        max_value=MAX_INTEGER,
        required=False,
        default=None,
        help_text=f"How many entries, {LONGEST_PAGE} at most; by default {PAGE} if there is an offset, else all. The "
        "answer then has the headers X-Total-Count and Link.",
    )
    offset = serializers.IntegerField(
        min_value=0,
        max_value=MAX_INTEGER,
        required=False,
        default=None,
        help_text="How many entries to leave out first.",
    )


def each(serializer: type[serializers.BaseSerializer[Any]], **context: Any) -> Represent:
    """What makes JSON of rows by a serializer of one, in this context."""
    return lambda rows: list(serializer(rows, many=True, context=context).data)


def listed(request: Request, rows: Rows, represent: Represent, *, piece: int = PIECE) -> HttpResponseBase:
    """Answer with a plain list: all rows, or with `limit` or `offset` a page of them.

    However many rows there are, no more than `piece` are in memory at once, and a long answer waits on the disk.

    Raises:
        ValidationError: limit or offset is no number, or too small.
    """
    wanted = checked(PageQuery, request.query_params)
    if wanted["limit"] is not None or wanted["offset"] is not None:
        limit = min(wanted["limit"] or PAGE, LONGEST_PAGE)
        return _page(request, rows, represent, limit, wanted["offset"] or 0)
    if request.accepted_media_type != JSON:  # a page for a browser, or JSON with an indent
        return Response(represent(list(rows)))
    return _whole(rows, represent, piece)


def _page(request: Request, rows: Rows, represent: Represent, limit: int, offset: int) -> Response:
    total = rows.count() if isinstance(rows, QuerySet) else len(rows)
    headers = {"X-Total-Count": str(total)}
    links = []
    if offset + limit < total:
        links.append(_link(request, limit, offset + limit, "next"))
    if offset > 0:
        links.append(_link(request, limit, max(0, offset - limit), "prev"))
    if links:
        headers["Link"] = ", ".join(links)
    return Response(represent(list(rows[offset : offset + limit])), headers=headers)


def _link(request: Request, limit: int, offset: int, relation: str) -> str:
    """Relative, so that a proxy's host and scheme stay."""
    return f'<{request.path}?{urlencode({"limit": limit, "offset": offset})}>; rel="{relation}"'


def _whole(rows: Rows, represent: Represent, piece: int) -> HttpResponseBase:
    return spooled(lambda body: _write(body, rows, represent, piece), JSON)


def _write(body: IO[bytes], rows: Rows, represent: Represent, piece: int) -> None:
    """The JSON of all rows, the same bytes as if it were made at once."""
    renderer, separator = JSONRenderer(), b""
    body.write(b"[")
    for some in _pieces(rows, piece):
        inner = renderer.render(represent(some))[1:-1]
        if inner:
            body.write(separator + inner)
            separator = b","
    body.write(b"]")


def _pieces(rows: Rows, piece: int) -> Iterator[list[Any]]:
    found = rows.iterator(chunk_size=piece) if isinstance(rows, QuerySet) else iter(rows)
    while some := list(islice(found, piece)):
        yield some
