from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from fl_server_core.exceptions import Conflict, EntityNotFound, InvalidRequest, NotAllowed
from fl_server_core.models import AccessToken, Event, EventKind, User
from fl_server_core.services.tokens import (
    MAX_TOKENS,
    api_token_of,
    end_token,
    find_token,
    make_token,
    note_use,
    renew_api_token,
)
from fl_server_core.services.users import edit_oneself, set_password
from tests.builders.clients import make_operator
from tests.builders.rows import make_token as make_row
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db


def owner_of(key: str) -> User | None:
    token = find_token(key)
    return None if token is None else token.user


def test_an_api_token_has_forty_hexadecimal_digits_and_is_the_same_each_time() -> None:
    anna, ben = make_user("anna"), make_user("ben")
    key = api_token_of(anna)
    assert (len(key), set(key) <= set("0123456789abcdef")) == (40, True)
    assert api_token_of(anna) == key != api_token_of(ben)
    assert owner_of(key) == anna
    assert anna.tokens.count() == 1


def test_no_table_holds_a_token() -> None:
    anna = make_user("anna")
    _token, key = make_token(user=anna, author=anna, name="laptop", scopes=["read"])
    for name in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{name}"')
            rows = str(cursor.fetchall())
        assert key not in rows, name
        assert api_token_of(anna) not in rows, name


def test_an_api_token_outlives_a_change_of_the_secret_key_as_long_as_the_old_one_is_accepted(
    settings: Settings,
) -> None:
    anna = make_user("anna")
    old, old_key = api_token_of(anna), settings.SECRET_KEY
    settings.SECRET_KEY = "another secret key"
    assert owner_of(old) is None
    settings.SECRET_KEY_FALLBACKS = [old_key]
    assert owner_of(old) == anna
    new = api_token_of(anna)
    assert (new != old, owner_of(new), owner_of(old)) == (True, anna, anna)
    settings.SECRET_KEY_FALLBACKS = []
    assert (owner_of(new), owner_of(old)) == (anna, None)


def test_nothing_but_the_key_finds_a_token() -> None:
    anna = make_user("anna")
    digest = anna.tokens.get().digest
    for key in ("", "\0", "\ud800", digest, digest[:40], "x" * 40, api_token_of(anna).upper(), api_token_of(anna)[:39]):
        assert find_token(key) is None


def set_by_operator(user: User) -> None:
    set_password(user_id=user.pk, author=make_operator(), password="another password")


def set_by_owner(user: User) -> None:
    edit_oneself(user=user, values={}, password="another password")


def set_by_django(user: User) -> None:
    user.set_password("another password")
    user.save()


def set_on_the_command_line(user: User) -> None:
    with mock.patch("getpass.getpass", return_value="another password"):
        call_command("changepassword", user.username, stdout=StringIO())


@pytest.mark.parametrize("change", [set_by_operator, set_by_owner, set_by_django, set_on_the_command_line])
def test_a_new_password_ends_all_tokens(change: Any) -> None:
    anna = make_user("anna")
    keys = [api_token_of(anna), make_token(user=anna, author=anna, name="laptop", scopes=["read"])[1]]
    change(anna)
    anna.refresh_from_db()
    assert anna.check_password("another password")
    assert [owner_of(key) for key in keys] == [None, None]
    assert owner_of(api_token_of(anna)) == anna
    assert anna.tokens.count() == 1


def test_a_hash_that_is_brought_up_to_date_keeps_the_tokens(settings: Settings) -> None:
    anna = make_user("anna", password="a long password")
    old = anna.password
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher", *settings.PASSWORD_HASHERS]
    key = api_token_of(anna)
    assert anna.check_password("a long password")
    assert anna.password != old
    assert owner_of(key) == anna


def test_other_changes_of_an_account_keep_the_tokens() -> None:
    anna = make_user("anna", password="a long password")
    key = api_token_of(anna)
    edit_oneself(user=anna, values={"email": "anna@example.org"})
    assert owner_of(key) == anna


def test_a_token_acts_for_its_user_until_it_expires_or_is_ended() -> None:
    anna = make_user("anna")
    later = timezone.now() + timedelta(hours=1)
    token, key = make_token(user=anna, author=anna, name="laptop", scopes=["write", "read"], expires_at=later)
    assert (owner_of(key), token.scopes, len(key)) == (anna, ["read", "write"], 40)
    AccessToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    assert owner_of(key) is None
    AccessToken.objects.filter(pk=token.pk).update(expires_at=None)
    assert owner_of(key) == anna
    end_token(token_id=token.pk, user=anna, author=anna)
    assert owner_of(key) is None
    kinds = [EventKind.TOKEN_MADE, EventKind.TOKEN_ENDED]
    assert list(Event.objects.order_by("id").values_list("kind", "message")) == [(kind, "laptop") for kind in kinds]


def test_an_account_that_is_not_active_has_no_valid_token() -> None:
    anna = make_user("anna")
    key = api_token_of(anna)
    User.objects.update(is_active=False)
    assert find_token(key) is None


def test_ending_or_renewing_the_api_token_makes_another_one() -> None:
    anna = make_user("anna")
    first = api_token_of(anna)
    end_token(token_id=anna.tokens.get().pk, user=anna, author=anna)
    second = api_token_of(anna)
    renew_api_token(user=anna, author=make_operator())
    third = api_token_of(anna)
    assert [owner_of(key) for key in (first, second, third)] == [None, None, anna]
    assert [event.kind for event in Event.objects.all()] == [EventKind.TOKEN_RENEWED] * 2


def test_what_cannot_be_a_token_is_refused() -> None:
    anna = make_user("anna")
    wrong: dict[str, Any]
    for wrong in (
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": ["read"], "expires_at": timezone.now() - timedelta(seconds=1)},
    ):
        with pytest.raises(InvalidRequest):
            make_token(user=anna, author=anna, name="laptop", **wrong)
    for number in range(MAX_TOKENS - 1):
        make_row(anna, f"token {number}")
    with pytest.raises(Conflict, match="50 tokens"):
        make_token(user=anna, author=anna, name="laptop", scopes=["read"])


def test_only_superusers_hold_the_tokens_of_others() -> None:
    anna, clerk = make_user("anna"), make_user("clerk", is_staff=True)
    with pytest.raises(NotAllowed):
        make_token(user=anna, author=clerk, name="laptop", scopes=["read"])
    with pytest.raises(NotAllowed):
        renew_api_token(user=anna, author=clerk)
    with pytest.raises(NotAllowed):
        end_token(token_id=anna.tokens.get().pk, user=anna, author=make_user("ben"))
    assert make_token(user=anna, author=make_operator(), name="laptop", scopes=["read"])[0].user == anna


def test_a_token_of_another_user_is_not_found() -> None:
    anna, ben = make_user("anna"), make_user("ben")
    for token_id in (ben.tokens.get().pk, uuid4()):
        with pytest.raises(EntityNotFound):
            end_token(token_id=token_id, user=anna, author=anna)


def test_a_use_is_written_down_every_five_minutes() -> None:
    anna = make_user("anna")
    for minutes, is_written in ((None, True), (4, False), (6, True)):
        then = None if minutes is None else timezone.now() - timedelta(minutes=minutes)
        AccessToken.objects.update(last_used_at=then)
        with CaptureQueriesContext(connection) as statements:
            note_use(anna.tokens.get())
        assert (len(statements) == 2) == is_written
        used = anna.tokens.get().last_used_at
        assert used is not None
        assert (used != then) == is_written
