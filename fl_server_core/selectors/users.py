from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models.user import User
from fl_server_core.selectors.models import parse_uuid


def get_user(user_id: UUID | str) -> User:
    """Raises EntityNotFound for an unknown or malformed id."""
    identifier = parse_uuid(user_id)
    found = None if identifier is None else User.objects.select_related("auth_token").filter(pk=identifier).first()
    if found is None:
        raise EntityNotFound("User", user_id)
    return found


def all_users() -> QuerySet[User]:
    """Every user, oldest first."""
    return User.objects.order_by("date_joined", "id")
