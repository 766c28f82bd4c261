"""Answers to programs that watch: `/livez`, `/readyz`, `/metrics`."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from fl_server_api.monitoring.access import may_read_details
from fl_server_api.monitoring.exposition import exposition
from fl_server_api.monitoring.readiness import Part, Readiness, Status, watcher

STRICT = "strict"
METRICS_REFUSED = (
    "The figures are for programs with FL_METRICS_TOKEN as a bearer token, in FL_METRICS_NETWORKS, or, unless "
    "FL_METRICS_LOOPBACK is false, on this machine."
)


def livez(request: HttpRequest) -> HttpResponse:
    """This process answers. It checks nothing else, because a restart would repair nothing else."""
    del request
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


def readyz(request: HttpRequest) -> HttpResponse:
    """Whether to send requests to this process, and which parts of the server fail.

    503 where the database, its migrations or the storage fail, and once this process was told to stop; with `?strict`
    where anything fails.
    """
    readiness = watcher().readiness()
    is_ready = readiness.status is Status.OK if STRICT in request.GET else readiness.takes_requests
    content = readiness_content(readiness, with_details=may_read_details(request.META))
    return JsonResponse(content, status=200 if is_ready else 503, json_dumps_params={"indent": 1})


def metrics(request: HttpRequest) -> HttpResponse:
    """All figures, for Prometheus."""
    if not may_read_details(request.META):
        return HttpResponse(f"{METRICS_REFUSED}\n", status=403, content_type="text/plain; charset=utf-8")
    content, content_type = exposition(request.headers.get("Accept", ""))
    return HttpResponse(content, content_type=content_type)


def readiness_content(readiness: Readiness, *, with_details: bool) -> dict[str, Any]:
    """As JSON: sentences for everyone, addresses and errors for the operator."""
    return {
        "status": readiness.status.value,
        "failing": readiness.failing,
        "parts": {part.name: _content(part, with_details) for part in readiness.parts},
    }


def _content(part: Part, with_details: bool) -> dict[str, Any]:
    said = {
        "ok": part.is_ok,
        "required": part.is_required,
        "since": part.since.isoformat(timespec="seconds"),
        "message": part.sentence,
    }
    return {**said, "detail": part.detail} if with_details else said
