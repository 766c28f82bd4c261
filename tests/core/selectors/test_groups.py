import pytest

from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.selectors.groups import all_groups, get_group_of, groups_of_user
from fl_server_core.services.groups import create_group
from tests.builders.clients import staff_with
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db


def test_members_get_their_groups_in_order() -> None:
    member = make_user()
    groups = [create_group(name=name) for name in ("z", "a", "m")]
    member.groups.set([groups[1], groups[0]])
    assert list(groups_of_user(member)) == groups[:2]
    assert get_group_of(groups[0].pk, member) == groups[0]
    with pytest.raises(NotAllowed, match="this group"):
        get_group_of(groups[2].pk, member)
    with pytest.raises(EntityNotFound):
        get_group_of(0, member)


def test_staff_who_may_view_groups_list_all() -> None:
    groups = [create_group(name=name) for name in ("z", "a")]
    for user in (make_user(is_superuser=True), staff_with("view_group")):
        assert list(all_groups(user)) == groups
        assert get_group_of(groups[0].pk, user) == groups[0]
    with pytest.raises(NotAllowed, match="all groups"):
        all_groups(make_user(is_staff=True))
