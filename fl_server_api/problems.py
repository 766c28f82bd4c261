"""Refusals as problem details (RFC 9457), for those who ask for them by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.encoding import escape_uri_path
from rest_framework.response import Response

from fl_server_core.log_context import bound_id

JSON, PROBLEM = "application/json", "application/problem+json"


class Refusal(Response):
    """A refusal whose recorded body says less than is known. told: everything, as problem details have it."""

    def __init__(self, recorded: Any, *, told: str, **about: Any) -> None:
        super().__init__(recorded, **about)
        self.told = told


class ProblemMiddleware:
    """Rewrites every refusal in JSON, whichever part of the server made it, if Accept names problem details.

    A wildcard does not: clients that accept anything know the recorded bodies.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code >= 400 and isinstance(response, HttpResponse) and wants_problems(request):
            _rewrite(request, response)
        return response


def wants_problems(request: HttpRequest) -> bool:
    """Does the Accept header name problem details?"""
    if PROBLEM not in request.headers.get("Accept", "").lower():
        return False
    try:
        return any(f"{one.main_type}/{one.sub_type}" == PROBLEM for one in request.accepted_types)
    except ValueError:  # a parameter in an encoding that Python doesn't know
        return False


def problem(status: int, path: str, body: Any) -> dict[str, Any]:
    """The recorded body of a refusal as problem details.

    `type` is about:blank: the status says what kind of problem it is. Sentences by field come as `errors`.
    """
    title = HTTPStatus(status).phrase
    about = {"type": "about:blank", "title": title, "status": status, "instance": escape_uri_path(path)}
    if isinstance(body, dict) and isinstance(body.get("detail"), str):
        return {**body, **about}
    if isinstance(body, list) and all(isinstance(one, str) for one in body):
        return {**about, "detail": " ".join(body)}
    where = f"Look at these fields: {', '.join(body)}." if isinstance(body, dict) else "Look at the errors."
    return {**about, "detail": where, "errors": body}


def _rewrite(request: HttpRequest, response: HttpResponse) -> None:
    if response.headers.get("Content-Type", "").partition(";")[0] != JSON:
        return
    told = problem(response.status_code, request.path, json.loads(response.content))
    if isinstance(response, Refusal):
        told["detail"] = response.told
    if response.status_code >= 500:
        told["request_id"] = bound_id("request_id")
    response.content = json.dumps(told).encode()
    response.headers["Content-Type"] = PROBLEM
    response.headers["Content-Length"] = str(len(response.content))
    patch_vary_headers(response, ["Accept"])
