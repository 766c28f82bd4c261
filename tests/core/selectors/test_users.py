from uuid import uuid4

import pytest
from django.db import OperationalError, connection, transaction

from fl_server_core.exceptions import EntityNotFound, InvalidRequest
from fl_server_core.models import User
from fl_server_core.selectors.users import all_users, find_users, get_user, lock_users
from tests.builders.rows import make_training, make_user
from tests.builders.threads import at_once

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


def test_users_are_locked_all_or_not_at_all_in_the_order_of_their_ids() -> None:
    ids = sorted(make_user().pk for _ in range(5))
    assert [user.pk for user in lock_users(list(reversed(ids)))] == ids
    assert lock_users([]) == []
    for wrong in ([ids[0], uuid4()], [ids[0], ids[0]]):
        with pytest.raises(InvalidRequest, match="Not all provided users were found!"):
            lock_users(wrong)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not connection.features.has_select_for_update, reason="SQLite has no locks on rows.")
def test_a_locked_account_cannot_be_deleted_meanwhile_but_be_referred_to() -> None:
    anna, ben = make_user(), make_user()

    def lock() -> int:
        with transaction.atomic():
            return len(User.objects.select_for_update(nowait=True).filter(pk=anna.pk))

    def refer() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '10s'")  # the lock is held until this is done
            make_training(ben, [anna])

    with transaction.atomic():
        assert lock_users([anna.pk]) == [anna]
        with pytest.raises(OperationalError):
            at_once(lock)
        at_once(refer)
