from __future__ import annotations

from typing import Any

import pytest
from django.db import DataError, connection

from fl_server_core.exceptions import InvalidValue
from fl_server_core.models import User
from fl_server_core.services.users import register_user
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
