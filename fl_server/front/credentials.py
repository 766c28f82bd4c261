"""Has a request credentials that are good? Asked at its header, before more of its body is taken in."""

from __future__ import annotations

import logging
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import get_user
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError, close_old_connections

from fl_server_api.authentication import authenticate_meta
from fl_server_api.trail import note_early_sign_in
from fl_server_core.exceptions import TooManyFailures
from fl_server_core.trail import acting

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)
Known = bool | TooManyFailures


def may_be_known(environ: WSGIEnvironment) -> bool:
    """Are there credentials at all, good or bad?"""
    return "HTTP_AUTHORIZATION" in environ or f"{settings.SESSION_COOKIE_NAME}=" in environ.get("HTTP_COOKIE", "")


def look_up(environ: WSGIEnvironment) -> Known:
    """Is the client signed in, or does it guess? Looks into the database: call it in a thread.

    Nothing is kept of what is found: the body may take hours to arrive, and the view looks for itself when it has.
    """
    close_old_connections()
    try:
        with acting() as act:
            is_known = authenticate_meta(dict(environ)) is not None or _has_session(environ)
        note_early_sign_in(act, environ)
        return is_known
    except TooManyFailures as refusal:
        return refusal
    except DatabaseError as error:
        logger.info("Credentials could not be checked: %s", error)
        return False
    finally:
        close_old_connections()


def _has_session(environ: WSGIEnvironment) -> bool:
    request = WSGIRequest({**environ, "wsgi.input": BytesIO()})
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    if not key or "\0" in key:  # PostgreSQL's driver raises on it
        return False
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return bool(get_user(request).is_authenticated)
