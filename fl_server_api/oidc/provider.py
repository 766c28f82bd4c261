"""What the provider says of itself, and whether it has signed a token for us."""

from __future__ import annotations

import threading
from time import monotonic
from typing import Any

import httpx
import jwt
from django.conf import settings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a key pair. HS256 would make the client's secret a key that signs."""
REQUIRED = ["iss", "sub", "aud", "exp", "iat"]
TIMEOUT_SECONDS = 10.0
KEPT_SECONDS = 3600.0
KEYS_ASKED_EVERY = 60.0
LEEWAY_SECONDS = 30


class ProviderUnavailable(Exception):
    """The provider does not answer, or not as OpenID Connect says."""


class InvalidIdentity(Exception):
    """The provider has not issued this token, or for somebody else, or it has expired."""


class Provider:
    """The provider at FL_OIDC_ISSUER. What it publishes is kept for an hour."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}

    def endpoint(self, name: str) -> str:
        """An address that the provider publishes, such as `token_endpoint`.

        Raises:
            ProviderUnavailable: it publishes none.
        """
        found = self._configuration().get(name)
        if not isinstance(found, str):
            raise ProviderUnavailable(f"The provider publishes no {name}.")
        return found

    def verify(self, token: str, *, nonce: str | None = None) -> dict[str, Any]:
        """The claims of a token that the provider has signed, for us, and that has not expired.

        nonce: what the token must hold, if it was asked for by us.

        Raises:
            InvalidIdentity: it is no such token.
            ProviderUnavailable: the provider's keys can't be read.
        """
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise InvalidIdentity(f"Tokens must be signed by one of {', '.join(ALGORITHMS)}.")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(header.get("kid"), header["alg"]),
                algorithms=[header["alg"]],
                audience=settings.FL_OIDC_CLIENT_ID,
                issuer=settings.FL_OIDC_ISSUER,
                leeway=LEEWAY_SECONDS,
                options={"require": REQUIRED},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise InvalidIdentity(str(error)) from error
        if nonce is not None and claims.get("nonce") != nonce:
            raise InvalidIdentity("The token answers another request.")
        return claims

    def _key(self, key_id: object, algorithm: str) -> jwt.PyJWK:
        found = self._find_key(self._keys(KEPT_SECONDS), key_id, algorithm)
        # An unknown key may be a new one; but who makes keys up must not make us ask for each.
        found = found or self._find_key(self._keys(KEYS_ASKED_EVERY), key_id, algorithm)
        if found is None:
            raise InvalidIdentity("The provider publishes no such key.")
        return jwt.PyJWK(found, algorithm)

    @staticmethod
    def _find_key(keys: list[dict[str, Any]], key_id: object, algorithm: str) -> dict[str, Any] | None:
        fitting = [key for key in keys if key.get("alg", algorithm) == algorithm and key.get("use", "sig") == "sig"]
        if key_id is None:  # a provider with one key need not name it
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.get("kid") == key_id), None)

    def _keys(self, seconds: float) -> list[dict[str, Any]]:
        keys = self._read(self.endpoint("jwks_uri"), seconds).get("keys", [])
        return [key for key in keys if isinstance(key, dict)]

    def _configuration(self) -> dict[str, Any]:
        issuer = settings.FL_OIDC_ISSUER
        found = self._read(f"{issuer.rstrip('/')}/.well-known/openid-configuration", KEPT_SECONDS)
        if found.get("issuer") != issuer:
            raise ProviderUnavailable(f"FL_OIDC_ISSUER is {issuer}, but the provider says {found.get('issuer')}.")
        return found

    def _read(self, address: str, seconds: float) -> dict[str, Any]:
        """A JSON document that is at most so old."""
        with self._lock:
            at, document = self._kept.get(address, (float("-inf"), {}))
            if monotonic() - at < seconds:
                return document
            try:
                answer = httpx.get(address, timeout=TIMEOUT_SECONDS, trust_env=False).raise_for_status()
                document = answer.json()
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                raise ProviderUnavailable(f"{address}: {error}") from error
            if not isinstance(document, dict):
                raise ProviderUnavailable(f"{address} is not a JSON object.")
            self._kept[address] = (monotonic(), document)
            return document


provider = Provider()
