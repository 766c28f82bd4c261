from uuid import uuid4

import pytest

from fl_server_core.exceptions import EntityNotFound, InvalidRequest
from fl_server_core.selectors.users import all_users, find_users, get_user
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db


def test_users_are_listed_oldest_first() -> None:
    users = [make_user(name) for name in ("zoe", "anna", "mia")]
    assert list(all_users()) == users
    assert get_user(users[1].pk) == users[1]


def test_an_unknown_user_is_not_found() -> None:
    unknown = uuid4()
    with pytest.raises(EntityNotFound, match=f"User {unknown} not found."):
        get_user(unknown)


def test_users_are_found_all_or_not_at_all() -> None:
    anna, ben = make_user(), make_user()
    assert set(find_users([ben.pk, anna.pk])) == {anna, ben}
    assert find_users([]) == []
    for ids in ([anna.pk, uuid4()], [anna.pk, anna.pk]):
        with pytest.raises(InvalidRequest, match="Not all provided users were found!"):
            find_users(ids)
