from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet

from fl_server_core.exceptions import EntityNotFound, InvalidRequest
from fl_server_core.models.user import User


def get_user(user_id: UUID) -> User:
    """Raises EntityNotFound for an unknown id."""
    found = User.objects.select_related("auth_token").filter(pk=user_id).first()
    if found is None:
        raise EntityNotFound("User", user_id)
    return found


def find_users(user_ids: Sequence[UUID]) -> list[User]:
    """The users. Raises InvalidRequest where an id is unknown or given twice."""
    found = list(User.objects.filter(pk__in=user_ids))
    if len(found) != len(user_ids):
        raise InvalidRequest("Not all provided users were found!")
    return found


def all_users() -> QuerySet[User]:
    """Every user, oldest first."""
    return User.objects.order_by("date_joined", "id")
