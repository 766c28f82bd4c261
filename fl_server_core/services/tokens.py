"""The keys with which programs act as users.

Every user has an *API token*, which clients of the wire read again on the user's page. It is derived from the user, a
number (the generation) and the secret key, so that the database holds its digest alone. All other tokens have names and
scopes, and are shown once.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

from fl_server_core import policies
from fl_server_core.exceptions import Conflict, EntityNotFound, InvalidRequest, NotAllowed
from fl_server_core.models.event import EventKind
from fl_server_core.models.token import AccessToken, Scope
from fl_server_core.models.user import User
from fl_server_core.services.digests import digest_of, make_secret
from fl_server_core.services.history import record

API_TOKEN_LENGTH = 40
API_TOKEN_NAME = "API token"  # noqa: S105  what people read
MAX_TOKENS = 50
USE_IS_NOTED_EVERY = timedelta(minutes=5)


def api_token_of(user: User) -> str:
    """The user's API token: 40 hexadecimal digits.

    Its row is made if it is missing, as it is for each user after the secret key has changed.
    """
    key = _derive(user, settings.SECRET_KEY)
    AccessToken.objects.get_or_create(
        digest=digest_of(key),
        defaults={
            "user": user,
            "name": API_TOKEN_NAME,
            "scopes": Scope.values,
            "generation": user.token_generation,
        },
    )
    return key


def _derive(user: User, secret_key: str) -> str:
    value = f"{user.pk.hex}:{user.token_generation}"
    mac = salted_hmac("fl_server_core.api_token", value, secret=secret_key, algorithm="sha256")
    return mac.hexdigest()[:API_TOKEN_LENGTH]


def find_token(key: str) -> AccessToken | None:
    """The token with this key, with its user. None: unknown, expired, ended, or of an account that is not active."""
    tokens = AccessToken.objects.select_related("user").filter(digest=digest_of(key), user__is_active=True)
    token = tokens.first()
    if token is None or (token.expires_at is not None and token.expires_at <= timezone.now()):
        return None
    return token if token.generation is None or _is_current(token, key) else None


def _is_current(token: AccessToken, key: str) -> bool:
    """Is it derived from a secret key that is still accepted? A key that leaked makes nothing valid once it is gone."""
    if token.generation != token.user.token_generation:
        return False
    accepted = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return any(hmac.compare_digest(_derive(token.user, secret_key), key) for secret_key in accepted)


def note_use(token: AccessToken) -> None:
    """Write down that a token was used, at most every five minutes: most requests write nothing."""
    now = timezone.now()
    due = now - USE_IS_NOTED_EVERY
    if token.last_used_at is None or token.last_used_at <= due:
        is_due = Q(last_used_at=None) | Q(last_used_at__lte=due)
        AccessToken.objects.filter(is_due, pk=token.pk).update(last_used_at=now)


def make_token(
    *, user: User, author: User, name: str, scopes: Sequence[str], expires_at: datetime | None = None
) -> tuple[AccessToken, str]:
    """Make a token. Returns it and its key, which nobody can read again.

    Raises:
        NotAllowed: the author may not hold the tokens of others.
        InvalidRequest: it would be expired from the start, or could do nothing.
        Conflict: the user has too many tokens.
    """
    if author != user and not policies.may_hold_tokens(author):
        raise NotAllowed
    if not scopes or not set(scopes) <= set(Scope.values):
        raise InvalidRequest(f"A token needs at least one of the scopes {', '.join(Scope.values)}.")
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidRequest("A token must expire in the future.")
    key = make_secret()
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # so that two requests don't both find room
        if user.tokens.count() >= MAX_TOKENS:
            raise Conflict(f"An account can have {MAX_TOKENS} tokens. End one that you no longer need.")
        token = AccessToken.objects.create(
            user=user,
            name=name,
            digest=digest_of(key),
            scopes=[scope for scope in Scope.values if scope in scopes],
            expires_at=expires_at,
        )
        record(training=None, kind=EventKind.TOKEN_MADE, user_id=user.pk, author_id=author.pk, message=name)
    return token, key


def end_token(*, token_id: UUID, user: User, author: User) -> None:
    """End a user's token. If it is the API token, another one takes its place.

    Raises:
        EntityNotFound: the user has no such token.
        NotAllowed: the author may not manage the account.
    """
    if author != user and not policies.may_manage_account(author, user):
        raise NotAllowed
    with transaction.atomic():
        token = AccessToken.objects.filter(pk=token_id, user=user).first()
        if token is None:
            raise EntityNotFound("Token", token_id)
        if token.is_api_token:
            _raise_generation(user)
            record(training=None, kind=EventKind.TOKEN_RENEWED, user_id=user.pk, author_id=author.pk)
        else:
            token.delete()
            message = token.name
            record(training=None, kind=EventKind.TOKEN_ENDED, user_id=user.pk, author_id=author.pk, message=message)


def renew_api_token(*, user: User, author: User) -> None:
    """Give a user another API token, which the user finds on its own page. The old one stops working.

    Raises:
        NotAllowed: the author may not renew the tokens of others.
    """
    if author != user and not policies.may_hold_tokens(author):
        raise NotAllowed
    with transaction.atomic():
        _raise_generation(user)
        record(training=None, kind=EventKind.TOKEN_RENEWED, user_id=user.pk, author_id=author.pk)


def end_all_tokens(user: User) -> None:
    """End every token of a user, as a new password does. Within the transaction that sets it."""
    AccessToken.objects.filter(user=user).delete()
    _raise_generation(user)


def _raise_generation(user: User) -> None:
    User.objects.filter(pk=user.pk).update(token_generation=F("token_generation") + 1)
    user.refresh_from_db(fields=["token_generation"])
    AccessToken.objects.filter(user=user, generation__isnull=False).delete()
    api_token_of(user)
