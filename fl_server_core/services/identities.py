"""Accounts of people who sign in at an OpenID Connect provider."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction

from fl_server_core import policies
from fl_server_core.exceptions import Conflict, NotAllowed
from fl_server_core.models.event import EventKind
from fl_server_core.models.identity import Identity
from fl_server_core.models.user import User
from fl_server_core.services.history import record
from fl_server_core.services.users import register_user

FOREIGN = re.compile(r"[^\w.@+-]")
NAME_LENGTH = 140  # leaves room for a number
TAKEN = "This identity belongs to another account."


def user_of_identity(*, issuer: str, subject: str) -> User | None:
    """The active user that this identity belongs to."""
    found = Identity.objects.select_related("user").filter(issuer=issuer, subject=subject, user__is_active=True).first()
    return None if found is None else found.user


def register_identity(
    *, issuer: str, subject: str, name: str, first_name: str = "", last_name: str = "", email: str = ""
) -> User:
    """Make an account, without a password, for somebody whom the provider has sent for the first time.

    name: the user name that is wanted. If another account has it, a number is added: names and addresses never lead to
    an account that exists, for at many providers people choose them.

    Raises:
        Conflict: the identity has an account already, though perhaps not an active one.
        InvalidValue: as `register_user`.
    """
    if Identity.objects.filter(issuer=issuer, subject=subject).exists():
        raise Conflict(TAKEN)

    def link(user: User) -> None:
        Identity.objects.create(user=user, issuer=issuer, subject=subject)
        record(training=None, kind=EventKind.IDENTITY_LINKED, user_id=user.pk, author_id=user.pk, message=subject)

    return register_user(
        username=_free_name(name),
        password=None,
        first_name=first_name[:150],
        last_name=last_name[:150],
        email=email[:254],
        on_creation=link,
    )


def _free_name(wanted: str) -> str:
    name = FOREIGN.sub("", User.normalize_username(wanted))[:NAME_LENGTH] or "user"
    known = User.objects.filter(username__istartswith=name).values_list("username", flat=True)
    taken = {username.lower() for username in known}
    candidates = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate.lower() not in taken)


def link_identity(*, user: User, issuer: str, subject: str, author: User) -> Identity:
    """Let a user sign in at a provider.

    Raises:
        NotAllowed: the author may not.
        Conflict: the identity belongs to an account already.
    """
    if not policies.may_link_identities(author):
        raise NotAllowed
    try:
        with transaction.atomic():
            identity = Identity.objects.create(user=user, issuer=issuer, subject=subject)
            _record(EventKind.IDENTITY_LINKED, identity, author)
    except IntegrityError:
        raise Conflict(TAKEN) from None
    return identity


def unlink_identity(*, identity: Identity, author: User) -> None:
    """Let a user no longer sign in at a provider. Sessions that run go on.

    Raises:
        NotAllowed: the author may not.
    """
    if not policies.may_link_identities(author):
        raise NotAllowed
    with transaction.atomic():
        _record(EventKind.IDENTITY_UNLINKED, identity, author)
        identity.delete()


def _record(kind: EventKind, identity: Identity, author: User) -> None:
    record(training=None, kind=kind, user_id=identity.user_id, author_id=author.pk, message=identity.subject)
