"""Who is asking. The first class of the settings' list names the scheme of a 401: it must be the token's."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework import authentication
from rest_framework.exceptions import APIException, AuthenticationFailed, ErrorDetail, Throttled
from rest_framework.request import Request
from rest_framework.settings import api_settings

from fl_server_api.client_address import client_address
from fl_server_core.exceptions import TooManyFailures
from fl_server_core.models import AccessToken, User
from fl_server_core.services.sign_in import refuse_at_once, sign_in
from fl_server_core.services.sign_in_limits import TOKENS, note_failure, refuse_if_limited
from fl_server_core.services.tokens import API_TOKEN_LENGTH, find_token, note_use

INVALID_TOKEN = "Invalid token."  # noqa: S105  a sentence
INVALID_LOGIN = "Invalid username/password."
RESULTS = "fl_server.authentication"
"""Where a request's META keeps what its credentials have turned out to be, so that nothing is looked up or counted
twice: a middleware may ask before the view does."""


class SignInRefused(Throttled):
    """A 429 that says when to try again."""

    def __init__(self, refusal: TooManyFailures) -> None:
        super().__init__(wait=refusal.retry_after)
        self.refusal = refusal
        self.detail = ErrorDetail(str(refusal), self.default_code)


def authenticate(headers: Mapping[str, str], address: str) -> User | None:
    """Whose credentials the header `Authorization` holds. None: there are none, or they are wrong.

    For code that has a request's headers and no Django request yet; sessions are not looked at. Wrong credentials count
    as a failure each time: where the request goes on to a view, use `authenticate_request`.

    headers: names in any case. address: of the client, as `client_address` finds it.

    Raises:
        TooManyFailures: the address has failed too often. Valid tokens are never refused.
    """
    given = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    return authenticate_meta({"HTTP_AUTHORIZATION": given, "REMOTE_ADDR": address})


def authenticate_meta(meta: dict[str, Any]) -> User | None:
    """The same for a request's META or a WSGI environ, which keeps the result for the view.

    Raises:
        TooManyFailures: the address has failed too often.
    """
    request = HttpRequest()
    request.META = meta
    for scheme in _schemes():
        try:
            found = scheme.authenticate(Request(request))
        except SignInRefused as refused:
            raise refused.refusal from None
        except APIException:  # wrong credentials, or a provider of identities that is unavailable
            return None
        if found is not None:
            user: User = found[0]
            return user
    return None


def needs_login(path: str, method: str | None) -> bool:
    """Does something there need credentials? Registering and the schema's pages ignore them, even wrong ones."""
    is_open = path.startswith("/api/schema/") or (path == "/api/users/" and method == "POST")
    return path.startswith("/api/") and not is_open


def refuse_known_guesses(meta: Mapping[str, Any]) -> None:
    """Raise TooManyFailures for a name and a password that this process knows to be refused, before anything else.

    What it lets pass may still be refused by the view.
    """
    scheme, _, encoded = str(meta.get("HTTP_AUTHORIZATION", "")).strip().partition(" ")
    if scheme.lower() != "basic":
        return
    try:
        decoded = base64.b64decode(encoded.strip())
    except ValueError:
        return
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        text = decoded.decode("latin-1")
    username, _, password = text.partition(":")
    if password:
        refuse_at_once(username=username, password=password, address=client_address(meta))


def _schemes() -> list[authentication.BaseAuthentication]:
    """What reads the header `Authorization`."""
    schemes = cast(list[type[authentication.BaseAuthentication]], api_settings.DEFAULT_AUTHENTICATION_CLASSES)
    return [scheme() for scheme in schemes if not issubclass(scheme, SessionAuthentication)]


class _Once(authentication.BaseAuthentication):
    """Looks at a request's credentials once, whoever asks."""

    scheme: ClassVar[str]

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        results = request.META.setdefault(RESULTS, {})
        if self.scheme not in results:
            try:
                results[self.scheme] = self.look(request)
            except (AuthenticationFailed, SignInRefused) as refusal:
                results[self.scheme] = refusal
        result: Any = results[self.scheme]
        if isinstance(result, Exception):
            raise result
        found: tuple[Any, Any] | None = result
        return found

    def look(self, request: Request) -> tuple[Any, Any] | None:
        raise NotImplementedError


class TokenAuthentication(_Once, authentication.TokenAuthentication):
    """`Authorization: Token <key>`."""

    scheme = "token"

    def look(self, request: Request) -> tuple[Any, Any] | None:
        self.address = client_address(request.META)
        return authentication.TokenAuthentication.authenticate(self, request)

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        return _user_of_token(key, self.address, INVALID_TOKEN)


class BasicAuthentication(_Once, authentication.BasicAuthentication):
    """Username and password, or a token as the username with an empty password."""

    scheme = "basic"

    def look(self, request: Request) -> tuple[Any, Any] | None:
        return authentication.BasicAuthentication.authenticate(self, request)

    def authenticate_credentials(  # type: ignore[override]  # a token that stands for a username
        self, userid: str, password: str, request: Request | None = None
    ) -> tuple[Any, AccessToken | None]:
        address = client_address(request.META) if request is not None else ""
        if not password:  # no account has an empty one
            return _user_of_token(userid, address, INVALID_LOGIN)
        try:
            user = sign_in(username=userid, password=password, address=address)
        except TooManyFailures as refusal:
            raise SignInRefused(refusal) from None
        if user is None:
            raise AuthenticationFailed(INVALID_LOGIN)
        return user, None


def _user_of_token(key: str, address: str, sentence: str) -> tuple[User, AccessToken]:
    """A valid token is found before any limit is looked at: nobody can shut its owner out."""
    token = find_token(key) if len(key) == API_TOKEN_LENGTH else None
    if token is not None:
        note_use(token)
        return token.user, token
    try:
        refuse_if_limited(address, TOKENS)
    except TooManyFailures as refusal:
        raise SignInRefused(refusal) from None
    note_failure(address, TOKENS)
    raise AuthenticationFailed(sentence)


class SessionAuthentication(authentication.SessionAuthentication):
    """A session of Django's, as the admin and the browsable pages have."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        key = request._request.session.session_key or ""
        if "\0" in key:  # a quoted cookie may hold one: PostgreSQL's driver raises on it
            request._request.user = AnonymousUser()
            return None
        return super().authenticate(request)
