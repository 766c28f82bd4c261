from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet

from fl_server_core.exceptions import EntityNotFound, InvalidRequest
from fl_server_core.models.user import User


def get_user(user_id: UUID) -> User:
    """Raises EntityNotFound for an unknown id."""
    found = User.objects.filter(pk=user_id).first()
    if found is None:
        raise EntityNotFound("User", user_id)
    return found


def find_users(user_ids: Sequence[UUID]) -> list[User]:
    """The users. Raises InvalidRequest where an id is unknown or given twice."""
    return _all_found(User.objects.filter(pk__in=user_ids), user_ids)


def lock_users(user_ids: Sequence[UUID]) -> list[User]:
    """The users, whose accounts stay until the transaction ends. Raises InvalidRequest as `find_users` does.

    After the training and its model, in the order of locks.
    """
    rows = User.objects.select_for_update(no_key=True).filter(pk__in=user_ids).order_by("pk")
    return _all_found(rows, user_ids)


def _all_found(rows: QuerySet[User], user_ids: Sequence[UUID]) -> list[User]:
    found = list(rows)
    if len(found) != len(user_ids):
        raise InvalidRequest("Not all provided users were found!")
    return found


def all_users() -> QuerySet[User]:
    """Every user, oldest first."""
    return User.objects.order_by("date_joined", "id")


def has_lookalike(username: str) -> bool:
    """Does another account's name differ from this one in upper and lower case only?"""
    name = User.normalize_username(username)
    return User.objects.filter(username__iexact=name).exclude(username=name).exists()
