"""Answers the probes before anything that they ask about, and counts all other requests."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase

from fl_server_ai.inference.server_sandbox import watch_sandbox
from fl_server_ai.sandbox import Change
from fl_server_api.monitoring.counting import counting
from fl_server_api.monitoring.paths import LIVEZ, METRICS, READYZ
from fl_server_api.monitoring.probes import livez, metrics, readyz

PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {LIVEZ: livez, READYZ: readyz, METRICS: metrics}
METHODS = ("GET", "HEAD")
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN_ROUTE = "none"
"""The route of requests that were answered before it was known, or that have none."""


class ProbeMiddleware:
    """Answers `/livez`, `/readyz` and `/metrics`, whatever the Host: a load balancer names an address."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        probe = PROBES.get(request.path_info)
        if probe is None:
            return self.get_response(request)
        answer = probe(request) if request.method in METHODS else HttpResponseNotAllowed(METHODS)
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer


class FiguresMiddleware:
    """Counts requests, their time and their bytes, by route. Paths hold ids, so there would be too many of them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        watch_sandbox(_note_sandbox)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        figures = counting()
        started = perf_counter()
        with figures.in_flight.track_inprogress():
            response = self.get_response(request)
        route, method = _route(request), request.method if request.method in KNOWN_METHODS else "other"
        figures.requests.labels(route, method, str(response.status_code)).inc()
        figures.seconds.labels(route, method).observe(perf_counter() - started)
        figures.received.labels(route).inc(_size(request.META.get("CONTENT_LENGTH")))
        if method != "HEAD":
            figures.sent.labels(route).inc(_size(response.headers.get("Content-Length")))
        return response


def _note_sandbox(change: Change, amount: int) -> None:
    counting().note_sandbox(change, amount)


def _route(request: HttpRequest) -> str:
    match = request.resolver_match
    return UNKNOWN_ROUTE if match is None else match.route


def _size(header: object) -> int:
    text = str(header or "")
    return int(text) if text.isascii() and text.isdigit() else 0
