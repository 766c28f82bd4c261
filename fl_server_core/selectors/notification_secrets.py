"""The secrets with which notifications to a user are signed.

They are derived from the user, a number (the generation) and the secret key, as the API token is: the database holds
none of them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from fl_server_core.models.user import User

PREFIX = "whsec_"
"""What Standard Webhooks puts before a secret; the rest is the key in base64."""


def notification_secrets_of(user: User) -> list[str]:
    """All secrets that sign now, the newest first: of the present generation, and of former ones for their last day.

    Each is there once more for each former secret key that is still accepted, so that a new secret key is no moment at
    which receivers reject what is sent to them.
    """
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [_derive(user, generation, key) for generation in _generations(user) for key in keys]


def _generations(user: User) -> Iterator[int]:
    yield user.secret_generation
    for age in range(1, len(valid_former_secrets(user)) + 1):
        yield user.secret_generation - age


def valid_former_secrets(user: User) -> list[str]:
    """Until when former generations sign, as the row has it, without those that no longer do."""
    now = timezone.now()
    return [until for until in user.former_secrets_until if datetime.fromisoformat(until) > now]


def _derive(user: User, generation: int, secret_key: str) -> str:
    value = f"{user.pk.hex}:{generation}"
    mac = salted_hmac("fl_server_core.notification_secret", value, secret=secret_key, algorithm="sha256")
    return PREFIX + b64encode(mac.digest()).decode()
