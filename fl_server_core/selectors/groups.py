from __future__ import annotations

from django.contrib.auth.models import Group
from django.db.models import QuerySet

from fl_server_core import policies
from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models.user import User


def get_group_of(group_id: int, user: User) -> Group:
    """Raises EntityNotFound, or NotAllowed for a user who may not read the group."""
    group = Group.objects.filter(pk=group_id).first()
    if group is None:
        raise EntityNotFound("Group", group_id)
    if not policies.may_read_group(user, group):
        raise NotAllowed("You are not allowed to access this group.")
    return group


def get_changeable_group(group_id: int, user: User, action: str = "change") -> Group:
    """Raises EntityNotFound, or NotAllowed for a user who may not change, or `delete`, the group."""
    group = Group.objects.filter(pk=group_id).first()
    if group is None:
        raise EntityNotFound("Group", group_id)
    if not policies.may_change_group(user, group, action):
        is_seen = policies.may_read_group(user, group)
        raise NotAllowed() if is_seen else NotAllowed("You are not allowed to access this group.")
    return group


def all_groups(user: User) -> QuerySet[Group]:
    """Raises NotAllowed for a user who may not view groups."""
    if not policies.may_list_groups(user):
        raise NotAllowed("You are not allowed to access all groups.")
    return Group.objects.order_by("id")


def groups_of_user(user: User) -> QuerySet[Group]:
    return user.groups.order_by("id")
