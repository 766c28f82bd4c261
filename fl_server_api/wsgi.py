"""What has to happen to a request before Django sees it."""

from __future__ import annotations

import atexit
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fl_server_core.exceptions import TooManyFailures

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_CHARSET = re.compile(r';\s*charset\*?\s*=\s*("[^"]*"|[^;]*)', re.IGNORECASE)


def prepared(application: WSGIApplication) -> WSGIApplication:
    """Django's application with everything that has to come first."""
    return refuse_guesses(ignore_charset(application))


@dataclass(frozen=True)
class Refusal:
    """A whole answer to a request that Django never sees."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes


def refusal_of_guess(environ: WSGIEnvironment) -> Refusal | None:
    """The answer to those who are known to guess passwords, at a tenth of what a request costs that reaches a view.

    It takes microseconds and asks nobody, so a server may call it in the thread that moves its bytes. What comes from a
    page on another site is left to `GuessMiddleware`: its browser shows the answer only with headers that come from
    Django.
    """
    from fl_server_api.authentication import needs_login, refuse_known_guesses  # which need Django's settings
    from fl_server_api.trail import note_refusal

    if "HTTP_AUTHORIZATION" not in environ or "HTTP_ORIGIN" in environ:
        return None
    try:
        if needs_login(environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]):
            refuse_known_guesses(environ)
    except TooManyFailures as refusal:
        note_refusal(environ, 429)
        body = json.dumps({"detail": str(refusal)}).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Retry-After", str(refusal.retry_after)),
            ("X-Content-Type-Options", "nosniff"),
        ]
        return Refusal(429, "Too Many Requests", headers, body)
    return None


def refuse_guesses(application: WSGIApplication) -> WSGIApplication:
    """`refusal_of_guess` for a server that does not ask for it itself."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        refusal = refusal_of_guess(environ)
        if refusal is None:
            return application(environ, start_response)
        start_response(f"{refusal.status} {refusal.reason}", refusal.headers)
        return [refusal.body]

    return serve


def with_trail(application: WSGIApplication) -> WSGIApplication:
    """An application under a server that is not ours: a thread of each process writes what waits for the trail."""
    from fl_server_core.services.trail_buffer import flusher

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not flusher.is_running:  # at the first request, which comes after any fork
            flusher.start()
            atexit.register(flusher.stop)
        return application(environ, start_response)

    return serve


def ignore_charset(application: WSGIApplication) -> WSGIApplication:
    """Take the charset out of every Content-Type: all requests are UTF-8.

    Django decodes the query with whatever codec of Python's the header names, compressions and ones that always fail
    included. It does so while the request object is made: no middleware and no view could answer with a 400.
    """

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "charset" in environ.get("CONTENT_TYPE", "").lower():
            environ["CONTENT_TYPE"] = _CHARSET.sub("", environ["CONTENT_TYPE"])
        return application(environ, start_response)

    return serve
