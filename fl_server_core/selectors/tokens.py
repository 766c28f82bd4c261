from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models.token import AccessToken
from fl_server_core.models.user import User


def tokens_of(user: User) -> QuerySet[AccessToken]:
    """The user's tokens, oldest first."""
    return user.tokens.all()


def get_token_of(user: User, token_id: UUID) -> AccessToken:
    """Raises EntityNotFound if the user has no such token."""
    token = tokens_of(user).filter(pk=token_id).first()
    if token is None:
        raise EntityNotFound("Token", token_id)
    return token
