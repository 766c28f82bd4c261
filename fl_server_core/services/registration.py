"""People who make an account for themselves."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from fl_server_core.exceptions import NotAllowed
from fl_server_core.models.user import User
from fl_server_core.services.invitations import check_invitation, use_invitation
from fl_server_core.services.users import register_user

OPEN, CLOSED = "open", "closed"
UNINVITED = (
    "You need an invitation to register here. Send its code in the field `invitation`, or ask the operator for one."
)
NOBODY = "Registration is closed. Ask the operator for an account."


def refuse_uninvited(invitation: str) -> None:
    """Ask before anything else is looked at: who may not register learns no names.

    Raises:
        NotAllowed: registration is closed, or the invitation is missing, unknown, used or expired.
    """
    if settings.FL_REGISTRATION == CLOSED:
        raise NotAllowed(NOBODY)
    if settings.FL_REGISTRATION != OPEN:
        if not invitation:
            raise NotAllowed(UNINVITED)
        check_invitation(invitation)


def register_oneself(*, invitation: str = "", **values: Any) -> User:
    """Make an account as `register_user` does, if FL_REGISTRATION allows it.

    invitation: the code of one. Only the mode `invite` reads it.

    Raises:
        NotAllowed: registration is closed, or the invitation is missing, unknown, used or expired.
        InvalidValue: as `register_user`.
    """
    refuse_uninvited(invitation)  # before the password is hashed, which is slow on purpose
    if settings.FL_REGISTRATION == OPEN:
        return register_user(**values)
    return register_user(**values, on_creation=lambda user: use_invitation(invitation, user))
