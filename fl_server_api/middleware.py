from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

NOT_FOUND = "not-found"
"""The URL name of the page that answers for paths which are none."""


class AppendSlashMiddleware:
    """Send every path that only lacks its trailing slash there, whatever the method, before anything else looks at it.

    The location is relative, so that a proxy's host and scheme stay. Django's own redirect refuses bodies under DEBUG.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if not path.endswith("/") and not is_page(path) and is_page(f"{path}/"):
            location = request.get_full_path(force_append_slash=True)
            return _redirect(location)
        return self.get_response(request)


def is_page(path: str) -> bool:
    """Is there a view for the path?"""
    try:
        return resolve(path).url_name != NOT_FOUND
    except Resolver404:
        return False


def _redirect(location: str) -> HttpResponse:
    return HttpResponsePermanentRedirect(location)
