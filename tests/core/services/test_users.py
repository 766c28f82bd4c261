from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import DataError, connection

from fl_server_core.exceptions import EntityNotFound, InvalidValue, NotAllowed
from fl_server_core.models import Event, EventKind, User
from fl_server_core.services import users
from fl_server_core.services.users import edit_user, register_user, set_password
from tests.builders.clients import make_operator, make_staff
from tests.builders.rows import make_user

PASSWORD = "a-good-password"


@pytest.mark.django_db(transaction=True)
def test_a_password_is_hashed_before_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []

    def make_password(password: str | None) -> str:
        hashed.append(connection.in_atomic_block)
        return f"hash of {password}"

    monkeypatch.setattr("django.contrib.auth.base_user.make_password", make_password)
    monkeypatch.setattr("django.contrib.auth.models.make_password", make_password)
    user = register_user(username="anna", password="a-good-password")
    user.refresh_from_db()
    assert (hashed, user.password) == ([False], "hash of a-good-password")


@pytest.mark.django_db
def test_an_account_has_what_was_given_and_a_token() -> None:
    user = register_user(
        username="anna", password=PASSWORD, email="Anna@EXAMPLE.org", message_endpoint="http://a:1/", client=True
    )
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert (user.email, user.message_endpoint, user.client, user.actor) == (
        "Anna@example.org",
        "http://a:1/",
        True,
        False,
    )
    assert user.tokens.get().is_api_token
    assert not user.is_staff


@pytest.mark.django_db
def test_a_name_that_was_taken_meanwhile_is_refused_however_it_is_written() -> None:
    make_user("caf\u00e9")
    with pytest.raises(InvalidValue, match="already exists"):
        register_user(username="cafe\u0301", password=PASSWORD)
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_a_name_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise DataError("value too long")

    monkeypatch.setattr(User, "save", refuse)
    with pytest.raises(InvalidValue, match="too long"):
        register_user(username="anna", password=PASSWORD)


@pytest.fixture
def staff(db: None) -> User:
    return make_staff("clerk")


def test_an_edit_changes_what_is_named_and_is_in_the_history(staff: User, anna: User) -> None:
    edit_user(user_id=anna.pk, author=staff, values={"email": "a@example.org", "client": True})
    found = User.objects.get(pk=anna.pk)
    assert (found.email, found.client) == ("a@example.org", True)
    event = Event.objects.get()
    assert (event.kind, event.user, event.author) == (EventKind.EDITED, anna, staff)
    assert event.figures == {"edited": ["client", "email"]}


def test_a_superuser_gives_privileges_and_groups(anna: User) -> None:
    group = Group.objects.create(name="sites")
    edit_user(user_id=anna.pk, author=make_operator(), values={"is_staff": True, "groups": [group]})
    anna.refresh_from_db()
    assert anna.is_staff
    assert list(anna.groups.all()) == [group]


@pytest.mark.parametrize("name", ["is_staff", "is_superuser", "groups", "user_permissions"])
def test_staff_who_are_not_superusers_give_no_privileges(staff: User, anna: User, name: str) -> None:
    value: Any = [] if name in ("groups", "user_permissions") else True
    for account in (anna, staff):
        with pytest.raises(NotAllowed):
            edit_user(user_id=account.pk, author=staff, values={name: value})
    anna.refresh_from_db()
    assert not anna.is_staff
    assert not anna.is_superuser
    assert not Event.objects.exists()


def test_only_those_who_may_manage_an_account_edit_it_or_set_its_password(staff: User, anna: User) -> None:
    operator, outsider = make_operator(), make_user("outsider")
    for account, author in ((anna, anna), (anna, outsider), (operator, staff)):
        with pytest.raises(NotAllowed):
            edit_user(user_id=account.pk, author=author, values={"first_name": "Eve"})
        with pytest.raises(NotAllowed):
            set_password(user_id=account.pk, author=author, password=PASSWORD)
        account.refresh_from_db()
        assert (account.first_name, account.has_usable_password()) == ("", False)
    for call in (
        lambda: edit_user(user_id=uuid4(), author=staff, values={}),
        lambda: set_password(user_id=uuid4(), author=staff, password=PASSWORD),
    ):
        with pytest.raises(EntityNotFound, match="User"):
            call()
    assert not Event.objects.exists()


def test_a_name_that_another_has_taken_changes_nothing(staff: User, anna: User) -> None:
    make_user("ben")
    with pytest.raises(InvalidValue, match="already exists"):
        edit_user(user_id=anna.pk, author=staff, values={"first_name": "Anna", "username": "ben"})
    anna.refresh_from_db()
    assert (anna.username, anna.first_name) == ("anna", "")
    assert not Event.objects.exists()


def test_a_password_is_set_or_taken_away_and_the_history_does_not_hold_it(staff: User, anna: User) -> None:
    set_password(user_id=anna.pk, author=staff, password=PASSWORD)
    anna.refresh_from_db()
    assert anna.check_password(PASSWORD)
    found = set_password(user_id=anna.pk, author=staff, password=None)
    anna.refresh_from_db()
    assert (found, anna.has_usable_password()) == (anna, False)
    events = Event.objects.all()
    assert {(event.kind, event.user, event.author, event.message) for event in events} == {
        ("password_changed", anna, staff, "")
    }
    assert [event.figures for event in events] == [{}, {}]


@pytest.mark.django_db(transaction=True)
def test_another_password_is_hashed_before_the_transaction(
    staff: User, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []

    def make_password(password: str | None) -> str:
        hashed.append(connection.in_atomic_block)
        return f"hash of {password}"

    monkeypatch.setattr(users, "make_password", make_password)
    assert set_password(user_id=anna.pk, author=staff, password=PASSWORD).password == f"hash of {PASSWORD}"
    assert hashed == [False]
