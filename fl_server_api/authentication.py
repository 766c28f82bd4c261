"""Who is asking. The first class of the settings' list names the scheme of a 401: it must be the token's."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework import authentication
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from fl_server_core.models import User

TOKEN_LENGTH = 40


def authenticate_meta(meta: dict[str, Any]) -> User | None:
    """Whose credentials a WSGI environ's header `Authorization` holds. None: there are none, or they are wrong.

    Sessions are not looked at.
    """
    request = HttpRequest()
    request.META = meta
    for scheme in (TokenAuthentication(), BasicAuthentication()):
        try:
            found = scheme.authenticate(Request(request))
        except AuthenticationFailed:
            return None
        if found is not None:
            user: User = found[0]
            return user
    return None


class TokenAuthentication(authentication.TokenAuthentication):
    """`Authorization: Token <key>`."""

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        if "\0" in key:  # PostgreSQL's driver raises on it
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(key)


class BasicAuthentication(authentication.BasicAuthentication):
    """Username and password, or a token as the username with an empty password."""

    def authenticate_credentials(self, userid: str, password: str, request: Request | None = None) -> tuple[Any, None]:
        if "\0" in userid or "\0" in password:
            raise AuthenticationFailed("Invalid username/password.")
        if not password and len(userid) == TOKEN_LENGTH:
            token = Token.objects.select_related("user").filter(key=userid, user__is_active=True).first()
            if token is not None:
                return token.user, None
        return super().authenticate_credentials(userid, password, request)


class SessionAuthentication(authentication.SessionAuthentication):
    """A session of Django's, as the admin and the browsable pages have."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        key = request._request.session.session_key or ""
        if "\0" in key:  # a quoted cookie may hold one: PostgreSQL's driver raises on it
            request._request.user = AnonymousUser()
            return None
        return super().authenticate(request)
