from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission

from fl_server_core.exceptions import EntityNotFound, InvalidValue, NotAllowed
from fl_server_core.services.groups import create_group, delete_group, rename_group
from tests.builders.clients import make_staff, staff_with
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db


def test_a_new_group_has_no_members() -> None:
    assert create_group(name="ward").user_set.count() == 0


def test_a_name_that_somebody_has_is_refused_and_the_transaction_goes_on() -> None:
    member = make_user()
    create_group(name="ward")
    with pytest.raises(InvalidValue, match="already exists"):
        create_group(name="ward")
    other = create_group(name="other")
    member.groups.add(other)
    with pytest.raises(InvalidValue, match="already exists"):
        rename_group(group_id=other.pk, user=member, name="ward")
    assert sorted(Group.objects.values_list("name", flat=True)) == ["other", "ward"]


def test_members_rename_and_delete() -> None:
    member, group = make_user(), create_group(name="ward")
    member.groups.add(group)
    assert rename_group(group_id=group.pk, user=member).name == "ward"
    assert rename_group(group_id=group.pk, user=member, name="unit").name == "unit"
    delete_group(group_id=group.pk, user=member)
    assert not Group.objects.exists()


def test_others_do_not_even_if_they_are_staff() -> None:
    group = create_group(name="ward")
    for user in (make_user(), make_user(is_staff=True)):
        with pytest.raises(NotAllowed, match="this group"):
            rename_group(group_id=group.pk, user=user, name="mine")
        with pytest.raises(NotAllowed, match="this group"):
            delete_group(group_id=group.pk, user=user)
    assert Group.objects.get().name == "ward"


def test_staff_with_the_permission_rename_and_delete_any_group() -> None:
    group = create_group(name="ward")
    assert rename_group(group_id=group.pk, user=make_user(is_superuser=True), name="unit").name == "unit"
    with pytest.raises(NotAllowed):
        delete_group(group_id=group.pk, user=staff_with("change_group"))
    delete_group(group_id=group.pk, user=make_staff())
    assert not Group.objects.exists()


@pytest.mark.parametrize("privilege", ["permission", "member"])
def test_members_of_a_group_with_privileges_leave_it_as_it_is(privilege: str) -> None:
    member, group = make_user(), create_group(name="operators")
    group.user_set.add(member)
    if privilege == "permission":
        group.permissions.add(Permission.objects.all()[0])
    else:
        group.user_set.add(make_user(is_staff=True))
    for change in (rename_group, delete_group):
        with pytest.raises(NotAllowed, match="permission to perform"):
            change(group_id=group.pk, user=member)
    assert Group.objects.get().name == "operators"


def test_a_group_that_is_not_there_is_not_found() -> None:
    for change in (rename_group, delete_group):
        with pytest.raises(EntityNotFound, match="Group 7 not found"):
            change(group_id=7, user=make_user())
