from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from fl_server_core.exceptions import InvalidField
from fl_server_core.models.user import User
from fl_server_core.selectors.groups import get_changeable_group

TAKEN = "group with this name already exists."


def create_group(*, name: str) -> Group:
    """Make a group without members.

    Raises:
        InvalidField: somebody took the name at the same moment.
    """
    try:
        with transaction.atomic():
            return Group.objects.create(name=name)
    except IntegrityError:
        raise InvalidField("name", TAKEN) from None


def rename_group(*, group_id: int, user: User, name: str | None = None) -> Group:
    """Give a group another name, or, without one, leave it as it is.

    Raises:
        EntityNotFound, NotAllowed: no such group, or the user may not change it.
        InvalidField: somebody took the name at the same moment.
    """
    group = get_changeable_group(group_id, user)
    if name is None:
        return group
    group.name = name
    try:
        with transaction.atomic():
            group.save(update_fields=["name"])
    except IntegrityError:
        raise InvalidField("name", TAKEN) from None
    return group


def delete_group(*, group_id: int, user: User) -> None:
    """Remove a group.

    Raises:
        EntityNotFound, NotAllowed: no such group, or the user may not change it.
    """
    get_changeable_group(group_id, user, "delete").delete()
