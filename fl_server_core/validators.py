"""Checks on values for which no library has a validator."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

MAX_JSON_DEPTH = 64
DEFAULT_PORTS = {"http": 80, "https": 443}


def validate_endpoint(value: str) -> None:
    """Accept an http(s) URL with a host.

    Single-label hosts are welcome (`http://client-01:8101/`, as in a Docker network); Django's URLValidator refuses
    them.

    Raises:
        ValidationError: the value is not such a URL.
    """
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ValidationError(f"Enter an http or https URL with a host: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValidationError("Enter an http or https URL with a host, such as http://client-01:8101/.")
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValidationError("Enter a URL without spaces or control characters.")
    if parts.username is not None or parts.password is not None:
        raise ValidationError("Enter a URL without a user name or password.")


def notification_ports() -> frozenset[int] | None:
    """The ports to which notifications may be sent; None: any."""
    if not settings.FL_PRODUCTION:
        return None
    return frozenset({*DEFAULT_PORTS.values(), *settings.FL_NOTIFICATION_PORTS})


def validate_endpoint_port(value: str) -> None:
    """Accept an endpoint whose port may be notified; whether it is a URL at all, `validate_endpoint` says.

    Raises:
        ValidationError: the operator has not named the port.
    """
    allowed = notification_ports()
    try:
        parts = urlsplit(value)
        port = DEFAULT_PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:
        return
    if allowed is not None and port is not None and port not in allowed:
        ports = ", ".join(str(each) for each in sorted(allowed))
        raise ValidationError(f"Enter a URL with one of the ports {ports}. The operator can allow others.")


def validate_json(value: Any, depth: int = 0) -> None:
    """Accept what both databases can store: PostgreSQL takes no NUL, no lone surrogate and no infinite number.

    Raises:
        ValidationError: the value holds one of these, or is nested more than MAX_JSON_DEPTH deep.
    """
    if depth > MAX_JSON_DEPTH:
        raise ValidationError(f"Nest values no more than {MAX_JSON_DEPTH} deep.")
    if isinstance(value, str):
        _validate_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValidationError("Use finite numbers only.")
    elif isinstance(value, dict):
        for key, item in value.items():
            _validate_text(str(key))
            validate_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            validate_json(item, depth + 1)


def _validate_text(text: str) -> None:
    if "\0" in text:
        raise ValidationError("Null characters are not allowed.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError("Lone surrogate characters are not allowed.") from None
