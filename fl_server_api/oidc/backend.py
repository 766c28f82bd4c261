from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from fl_server_api.oidc.provider import InvalidIdentity, provider
from fl_server_core.exceptions import DomainError
from fl_server_core.models import User
from fl_server_core.services.identities import register_identity, user_of_identity

logger = logging.getLogger(__name__)
ENDPOINTS = {
    "OIDC_OP_AUTHORIZATION_ENDPOINT": "authorization_endpoint",
    "OIDC_OP_TOKEN_ENDPOINT": "token_endpoint",
    "OIDC_OP_USER_ENDPOINT": "userinfo_endpoint",
    "OIDC_OP_JWKS_ENDPOINT": "jwks_uri",
}


def setting_or_endpoint(name: str, *default: Any) -> Any:
    """A setting of the library's, of which the addresses are those that the provider publishes."""
    if name in ENDPOINTS:
        return provider.endpoint(ENDPOINTS[name])
    return getattr(settings, name, *default)


class OIDCBackend(OIDCAuthenticationBackend):  # type: ignore[misc]  # the library has no types
    """Signs in the account that an identity is linked to.

    The library's own finds accounts by email address, which people choose, and checks neither audience nor issuer.
    """

    def __init__(self) -> None:
        """Nothing: the library would ask the provider, and Django makes a backend for every check of a permission."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> User | None:
        """Exchange the code of a callback; anything else is for another backend."""
        if not credentials.get("nonce"):
            return None
        super().__init__()
        found: User | None = super().authenticate(request, **credentials)
        return found

    def verify_token(self, token: str, **checks: Any) -> dict[str, Any]:
        return provider.verify(token, nonce=checks.get("nonce"))

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> User | None:
        subject = str(payload["sub"])
        user = user_of_identity(issuer=settings.FL_OIDC_ISSUER, subject=subject)
        if user is not None or not settings.FL_OIDC_CREATE_USERS:
            return user
        claims = self.get_userinfo(access_token, id_token, payload)
        if claims.get("sub") != payload["sub"]:
            raise InvalidIdentity("The provider's answers are about different people.")
        email = str(claims.get("email") or "")
        name = str(claims.get("preferred_username") or email.partition("@")[0])
        try:
            return register_identity(
                issuer=settings.FL_OIDC_ISSUER,
                subject=subject,
                name=name,
                first_name=str(claims.get("given_name") or ""),
                last_name=str(claims.get("family_name") or ""),
                email=email,
            )
        except DomainError as refusal:
            logger.warning("No account was made for an identity: %s", refusal)
            return None

    @staticmethod
    def get_settings(attr: str, *args: Any) -> Any:
        return setting_or_endpoint(attr, *args)

    def get_user(self, user_id: UUID | str) -> User | None:
        """For the session: only while the account is active."""
        return User.objects.filter(pk=user_id, is_active=True).first()
