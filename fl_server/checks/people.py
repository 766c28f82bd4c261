"""How people come in, and what they may do and see."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core import checks


def check_oidc(**_: Any) -> Iterator[checks.CheckMessage]:
    """Sign-in at a provider needs a library, and a client that the provider knows."""
    if not settings.FL_OIDC_ISSUER:
        return
    if find_spec("mozilla_django_oidc") is None:
        yield checks.Error(
            "FL_OIDC_ISSUER is set, but the library for OpenID Connect is not installed.",
            hint="Install the extra: pip install 'fl-server[oidc]'.",
            id="fl_server.E007",
        )
    if not settings.FL_OIDC_CLIENT_ID or not settings.FL_OIDC_CLIENT_SECRET:
        yield checks.Error(
            "FL_OIDC_ISSUER is set, but FL_OIDC_CLIENT_ID or FL_OIDC_CLIENT_SECRET is not.",
            hint="Register this server as a client at the provider, and set what it gives you.",
            id="fl_server.E008",
        )
    if settings.FL_PRODUCTION and not settings.FL_OIDC_ISSUER.startswith("https://"):
        yield checks.Warning(
            "The OpenID Connect provider is reached without TLS: whoever is on the way can sign in as anybody.",
            hint="Set FL_OIDC_ISSUER to an address that begins with https://.",
            id="fl_server.W006",
        )


def check_people(**_: Any) -> Iterator[checks.CheckMessage]:
    """On a server that others reach, people are asked before they take part, not everybody asks, and sees all."""
    if settings.FL_PRODUCTION and settings.FL_ENROLMENT == "open":
        yield checks.Warning(
            "Whom an actor adds to a training takes part in it without being asked.",
            hint="Set FL_ENROLMENT to consent, or remove it.",
            id="fl_server.W020",
        )
    if settings.FL_PRODUCTION and settings.FL_ACTORS == "everyone":
        yield checks.Warning(
            "Every user may upload models and create trainings.",
            hint="Set FL_ACTORS to flagged, or remove it, and set the flag `actor` of those who may.",
            id="fl_server.W021",
        )
    if settings.FL_PRODUCTION and settings.FL_SHOW_CONTACTS:
        yield checks.Warning(
            "Every user sees the email addresses and message endpoints of all others.",
            hint="Set FL_SHOW_CONTACTS to false, or remove it.",
            id="fl_server.W022",
        )
