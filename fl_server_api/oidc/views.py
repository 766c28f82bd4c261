from __future__ import annotations

import logging
from typing import Any

import requests
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from fl_server_api.middleware import RETRY_SECONDS
from fl_server_api.oidc.backend import setting_or_endpoint
from fl_server_api.oidc.provider import InvalidIdentity, ProviderUnavailable

logger = logging.getLogger(__name__)
UNAVAILABLE = "The sign-in provider is unavailable. Try again later, or sign in with your password."
INVALID = "This sign-in is not valid, or not any more. Start again."
UNKNOWN = "You are signed in at the provider, but no account here belongs to you. Ask the operator to link it."


def _sentence(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


class _Refusing:
    """Answers in sentences where the provider fails, or where somebody makes requests up."""

    def get(self, request: HttpRequest) -> HttpResponse:
        try:
            answer: HttpResponse = super().get(request)  # type: ignore[misc]  # the library's view
        except (ProviderUnavailable, requests.RequestException) as error:
            logger.error("OpenID Connect: %s", error)
            refusal = _sentence(UNAVAILABLE, 503)
            refusal.headers["Retry-After"] = str(RETRY_SECONDS)
            return refusal
        except (InvalidIdentity, SuspiciousOperation, ValueError, KeyError, TypeError) as error:
            logger.warning("OpenID Connect: %s", error)
            return _sentence(INVALID, 400)
        return answer

    @staticmethod
    def get_settings(attr: str, *args: Any) -> Any:
        return setting_or_endpoint(attr, *args)


class SignInView(_Refusing, OIDCAuthenticationRequestView):  # type: ignore[misc]  # the library has no types
    """Sends the browser to the provider, with a state, a nonce and a challenge that its session remembers."""

    def __init__(self, **options: Any) -> None:
        super(OIDCAuthenticationRequestView, self).__init__(**options)

    def get(self, request: HttpRequest) -> HttpResponse:
        return super().get(request)

    @property
    def OIDC_OP_AUTH_ENDPOINT(self) -> str:
        return str(self.get_settings("OIDC_OP_AUTHORIZATION_ENDPOINT"))

    @property
    def OIDC_RP_CLIENT_ID(self) -> str:
        return str(self.get_settings("OIDC_RP_CLIENT_ID"))


class CallbackView(_Refusing, OIDCAuthenticationCallbackView):  # type: ignore[misc]  # the library has no types
    """Where the provider sends the browser back to."""

    def login_failure(self) -> HttpResponse:
        is_answered = "code" in self.request.GET and "error" not in self.request.GET
        return _sentence(UNKNOWN, 403) if is_answered else _sentence(INVALID, 400)
