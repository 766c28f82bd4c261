"""Checks that a notification comes from the server: its signature, as Standard Webhooks defines it, and its age."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence

from .errors import FederationError, Refused, Unreachable

logger = logging.getLogger(__name__)

TOLERANCE_SECONDS = 300
"""A message that is older, or further in the future, is refused: somebody may have kept it."""
ASK_AGAIN_SECONDS = 60.0
"""Forged messages must not make us ask the server for secrets all the time."""


class Forged(FederationError):
    """The message isn't from the server."""


class Stale(FederationError):
    """The message is too old or from the future: somebody sends it again, or a clock is wrong."""


class NotReady(FederationError):
    """The secrets aren't known yet."""


class Verifier:
    """Verifies notifications with the secrets that the server names.

    Asks for them in `load`, and again if no signature fits, since they may have been rotated. Servers of earlier
    versions know no secrets and sign nothing: then every message is accepted.
    """

    def __init__(self, fetch: Callable[[], Sequence[str]]) -> None:
        """fetch: asks the server for the secrets; raises Refused or Unreachable."""
        self._fetch = fetch
        self._secrets: Sequence[str] | None = None
        self._asked = 0.0
        self._lock = threading.Lock()

    def load(self) -> None:
        """Ask for the secrets. May raise Unreachable."""
        self._asked = time.monotonic()
        try:
            self._secrets = list(self._fetch())
        except Refused as refusal:
            logger.warning("the server names no notification secrets, so no signature is checked: %s", refusal)
            self._secrets = []

    def check(self, headers: Mapping[str, str], content: bytes) -> str:
        """The id of the message, which is the same for its repeats; empty if this server doesn't sign.

        Raises:
            Forged: no signature fits.
            Stale: the message is too old, or from the future.
            NotReady: `load` has not been called.
        """
        headers = {name.lower(): value for name, value in headers.items()}
        if self._secrets is None:
            raise NotReady
        if not self._secrets:
            return ""
        identifier, timestamp = headers.get("webhook-id") or "", headers.get("webhook-timestamp") or ""
        signatures = (headers.get("webhook-signature") or "").split()
        signed = b".".join((identifier.encode(), timestamp.encode(), content))
        if not self._fits(signed, signatures) and not (self._asked_again() and self._fits(signed, signatures)):
            raise Forged("no signature fits")
        if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
            raise Stale("the message is too old, or the clock of this machine is wrong")
        return identifier

    def _fits(self, signed: bytes, signatures: Sequence[str]) -> bool:
        expected = [_signature(secret, signed) for secret in self._secrets or ()]
        given = [signature.encode() for signature in signatures]
        return any(hmac.compare_digest(one, other) for one in expected for other in given)

    def _asked_again(self) -> bool:
        """Ask for the secrets again, unless that was done lately."""
        with self._lock:
            if time.monotonic() - self._asked < ASK_AGAIN_SECONDS:
                return False
            self._asked = time.monotonic()
        try:
            self._secrets = list(self._fetch())
        except (Refused, Unreachable) as error:
            logger.warning("the notification secrets could not be read again: %s", error)
            return False
        return True


def _signature(secret: str, signed: bytes) -> bytes:
    key = b64decode(secret.removeprefix("whsec_"))
    return b"v1," + b64encode(hmac.digest(key, signed, "sha256"))
