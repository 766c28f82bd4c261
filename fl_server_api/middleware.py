from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

from fl_server_api.authentication import needs_login, refuse_known_guesses
from fl_server_core.exceptions import TooManyFailures
from fl_server_core.log_context import reason_of
from fl_server_core.storage import is_of_storage

logger = logging.getLogger(__name__)
RETRY_SECONDS = 5
NO_DATABASE = "The database is unavailable. Try again later."
NO_FILES = "The file storage is unavailable. Try again later."
CHANGED = "Something that this request refers to changed at the same moment. Look again, then try again."
NOT_FOUND = "not-found"
"""The URL name of the page that answers for unknown paths."""


def bug(request_id: str) -> str:
    """What a 500 says."""
    return f"The server has made an error. It is in the server's log, under the request {request_id}."


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
    """Does the path have a view?"""
    try:
        return resolve(path).url_name != NOT_FOUND
    except Resolver404:
        return False


def _redirect(location: str) -> HttpResponse:
    return HttpResponsePermanentRedirect(location)


class GuessMiddleware:
    """Refuses who is known to guess passwords, before sessions and views: guesses must cost next to nothing.

    Most have been refused before, by `fl_server_api.wsgi`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "HTTP_AUTHORIZATION" in request.META and needs_login(request.path_info, request.method):
            try:
                refuse_known_guesses(request.META)
            except TooManyFailures as refusal:
                return _answer(request, str(refusal), 429, refusal.retry_after)
        return self.get_response(request)


class UnavailableMiddleware:
    """Answers 503 where the database or the file storage fails, 429 where somebody guesses passwords in a form, and 409
    where the rows that a request refers to went before it was committed: a participant then tries again."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The answer where the database or the storage fails, or where a form is used to guess passwords.

        None: a bug, which becomes a 500 and is logged.
        """
        if isinstance(error, TooManyFailures):
            return _answer(request, str(error), 429, error.retry_after)
        status = 503
        if isinstance(error, (OperationalError, InterfaceError)):
            sentence = NO_DATABASE
        elif is_of_storage(error) or isinstance(error, FileNotFoundError):
            sentence = NO_FILES
        elif isinstance(error, IntegrityError):
            sentence, status = CHANGED, 409
        else:
            return None
        if status == 503:
            # Whatever is away fails for every request: one line each, and no traceback.
            logger.warning("%s %s: %s %s", request.method, request.path, sentence, reason_of(error))
        else:
            logger.warning("%s %s: %s", request.method, request.path, sentence, exc_info=error)
        return _answer(request, sentence, status, RETRY_SECONDS if status == 503 else None)


def unavailable(request: HttpRequest, error: Exception) -> HttpResponse:
    """The answer where the database fails after the view."""
    logger.warning("%s %s: %s %s", request.method, request.path, NO_DATABASE, reason_of(error))
    return _answer(request, NO_DATABASE, 503, RETRY_SECONDS)


def _answer(request: HttpRequest, sentence: str, status: int, retry_after: int | None) -> HttpResponse:
    answer: HttpResponse
    if request.path_info.startswith("/api/"):
        answer = JsonResponse({"detail": sentence}, status=status)
    else:
        answer = HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8")
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    return answer
