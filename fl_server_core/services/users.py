from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import DataError, IntegrityError, transaction
from django.db.models import ManyToManyField

from fl_server_core import policies
from fl_server_core.exceptions import EntityNotFound, InvalidField, InvalidValue, NotAllowed
from fl_server_core.models.event import EventKind
from fl_server_core.models.user import User
from fl_server_core.selectors.users import has_lookalike
from fl_server_core.services.history import record
from fl_server_core.services.tokens import end_all_tokens
from fl_server_core.services.trust import set_trusted_actors

TAKEN = "A user with that username already exists."
ALIKE = "Another account has this name in other upper and lower case. Choose a name that differs by more than that."
TOO_LONG = "The username or the email address is too long."


def register_user(
    *,
    username: str,
    password: str | None,
    message_endpoint: str = "",
    first_name: str = "",
    last_name: str = "",
    email: str = "",
    actor: bool = False,
    client: bool = False,
    author: User | None = None,
    is_operator: bool = False,
    on_creation: Callable[[User], None] = lambda _user: None,
) -> User:
    """Make an account; its token comes with it.

    password: None: the user can't sign in with one. author: who makes it for somebody else. actor: ignored where the
    flag grants something, unless an author gives it, or an operator at the server's shell (is_operator). on_creation:
    called in the transaction that makes the account; if it raises, there is none.

    Raises:
        NotAllowed: the author may not make accounts.
        InvalidValue: somebody else took the name at the same moment, an account has it in another case, or a value
            does not fit once it is normalized.
    """
    if author is not None and not policies.may_create_accounts(author):
        raise NotAllowed
    if has_lookalike(username):
        raise InvalidField("username", ALIKE)
    user = User(
        username=User.normalize_username(username),
        email=User.objects.normalize_email(email),
        message_endpoint=message_endpoint,
        first_name=first_name,
        last_name=last_name,
        actor=actor and (is_operator or author is not None or policies.may_call_itself_actor()),
        client=client,
    )
    user.set_password(password)  # before the transaction: it takes long on purpose, and SQLite has one writer at a time
    try:
        with transaction.atomic():
            user.save()
            on_creation(user)
            record(
                training=None, kind=EventKind.CREATED, user_id=user.pk, author_id=_creator(user, author, is_operator)
            )
    except IntegrityError:
        raise InvalidField("username", TAKEN) from None
    except DataError:
        # Lower-casing and Unicode normalization, which are done on creation, may lengthen a text.
        raise InvalidValue(TOO_LONG) from None
    return user


def _creator(user: User, author: User | None, is_operator: bool) -> UUID | None:
    """Who made an account: its author, nobody known at the server's shell, or its owner."""
    if author is not None:
        return author.pk
    return None if is_operator else user.pk


def edit_user(*, user_id: UUID, author: User, values: Mapping[str, Any]) -> None:
    """Change an account's columns, groups and permissions.

    Raises:
        EntityNotFound, NotAllowed: no such account, or the author may not manage it, or give privileges.
        InvalidValue: somebody else took the name at the same moment.
    """
    if not policies.may_give_privileges(author) and not values.keys().isdisjoint(policies.PRIVILEGES):
        raise NotAllowed
    try:
        with transaction.atomic():
            user = _lock_managed(user_id, author)
            _set_values(user, values)
            record(training=None, kind=EventKind.EDITED, user_id=user.pk, author_id=author.pk, edited=sorted(values))
    except IntegrityError:
        raise InvalidField("username", TAKEN) from None


def _set_values(user: User, values: Mapping[str, Any]) -> None:
    columns = []
    for name, value in values.items():
        if isinstance(User._meta.get_field(name), ManyToManyField):
            getattr(user, name).set(value)
        else:
            setattr(user, name, value)
            columns.append(name)
    if columns:
        user.save(update_fields=columns)


def set_password(*, user_id: UUID, author: User, password: str | None) -> User:
    """Set the password of an account, which ends its tokens; None: the user can't sign in with one.

    Raises:
        EntityNotFound, NotAllowed: no such account, or the author may not set its password.
    """
    hashed = make_password(password)  # takes long on purpose: before the transaction
    with transaction.atomic():
        user = _lock(user_id)
        if not policies.may_set_password(author, user):
            raise NotAllowed("Only superusers set the passwords of staff.")
        _set_hash(user, hashed, author)
    return user


def edit_oneself(
    *,
    user: User,
    values: Mapping[str, Any],
    password: str | None = None,
    trusted_actors: Sequence[UUID] | str | None = None,
) -> User:
    """Change columns of one's own account, whom it trusts, and the password, which ends all tokens.

    values: column to value. trusted_actors: see `set_trusted_actors`. The caller has checked the present password, if a
    new one is given. Returns: the account as it is then.

    Raises:
        InvalidRequest: a trusted actor is unknown or given twice.
    """
    hashed = None if password is None else make_password(password)
    with transaction.atomic():
        if trusted_actors is not None:  # first: it locks several accounts, in their order
            set_trusted_actors(user=user, actors=trusted_actors)
        changed = _lock(user.pk)
        _set_values(changed, values)
        if values:
            record(training=None, kind=EventKind.EDITED, user_id=user.pk, author_id=user.pk, edited=sorted(values))
        if hashed is not None:
            _set_hash(changed, hashed, user)
    return changed


def _set_hash(user: User, hashed: str, author: User) -> None:
    user.password = hashed
    user.save(update_fields=["password"])
    end_all_tokens(user)
    record(training=None, kind=EventKind.PASSWORD_CHANGED, user_id=user.pk, author_id=author.pk)


def _lock_managed(user_id: UUID, author: User) -> User:
    user = _lock(user_id)
    if not policies.may_manage_account(author, user):
        raise NotAllowed
    return user


def _lock(user_id: UUID) -> User:
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise EntityNotFound("User", user_id)
    return user
