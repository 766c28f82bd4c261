"""Signatures of notifications, as Standard Webhooks defines them: https://www.standardwebhooks.com."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105  the scheme's


def signed_headers(content: bytes, *, delivery_id: str, timestamp: int, secrets: Sequence[str]) -> dict[str, str]:
    """The headers that go with exactly these bytes. timestamp: of this attempt, in seconds.

    One signature for each secret, so that a receiver which knows any of them can verify.
    """
    signed = b".".join((delivery_id.encode(), str(timestamp).encode(), content))
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(signed, secret) for secret in secrets),
    }


def _signature(signed: bytes, secret: str) -> str:
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    return "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode()
