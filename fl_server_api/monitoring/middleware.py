"""Answers the probes before everything that they ask about."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase

from fl_server_api.monitoring.paths import LIVEZ, READYZ
from fl_server_api.monitoring.probes import livez, readyz

PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {LIVEZ: livez, READYZ: readyz}
METHODS = ("GET", "HEAD")


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
