from __future__ import annotations

import logging

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request

from fl_server_api.oidc.provider import InvalidIdentity, ProviderUnavailable, provider
from fl_server_core.models import User
from fl_server_core.services.identities import user_of_identity

logger = logging.getLogger(__name__)
INVALID = "Invalid identity token."
UNKNOWN = "No account belongs to this identity. Sign in once with a browser, or ask the operator to link it."


class ProviderAway(APIException):
    status_code = 503
    default_detail = "The sign-in provider is unavailable. Try again later, or use a token of this server."


class IdentityTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`: an identity token that the provider has issued for this server."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        scheme, _, given = get_authorization_header(request).strip().partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            claims = provider.verify(given.strip().decode("ascii"))
        except ProviderUnavailable as error:
            logger.warning("OpenID Connect: %s", error)
            raise ProviderAway from None
        except (InvalidIdentity, UnicodeDecodeError):
            raise AuthenticationFailed(INVALID) from None
        user = user_of_identity(issuer=settings.FL_OIDC_ISSUER, subject=str(claims["sub"]))
        if user is None:
            raise AuthenticationFailed(UNKNOWN)
        return user, None


class IdentityTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    """What the schema says of it."""

    target_class = IdentityTokenAuthentication
    name = "identityTokenAuth"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:  # noqa: ARG002  the library's signature
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
