from __future__ import annotations

import base64
from typing import Any

import pytest
from django.test import Client

from fl_server_core.models import User
from tests.api.conftest import People
from tests.builders.clients import client_of, token_of
from tests.builders.rows import make_user

PATH = "/api/users/myself/"
PASSWORD = "a long enough Passw0rd"


def basic(username: str, password: str, encoding: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode(encoding)).decode()


def ask(header: str) -> Any:
    return client_of().get(PATH, HTTP_AUTHORIZATION=header)


@pytest.fixture
def user(db: None) -> User:
    return make_user("märta", password=PASSWORD)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_username_and_its_password_sign_in(user: User, encoding: str) -> None:
    answer = ask(basic("märta", PASSWORD, encoding))
    assert (answer.status_code, answer.json()["username"]) == (200, "märta")


def test_a_token_signs_in_by_its_own_scheme_and_as_a_username_without_password(user: User) -> None:
    for header in (f"Token {token_of(user)}", basic(token_of(user), "")):
        answer = ask(header)
        assert (answer.status_code, answer.json()["id"]) == (200, str(user.pk))


def test_a_session_signs_in_and_needs_a_csrf_token_to_write(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.get(PATH).json()["username"] == "märta"
    refused = client.post("/api/groups/", {"name": "x"})
    assert (refused.status_code, "CSRF" in refused.json()["detail"]) == (403, True)


def test_a_token_counts_before_a_session(user: User) -> None:
    other = make_user("other")
    client = client_of(other)
    client.force_login(user)
    assert client.get(PATH).json()["username"] == "other"


@pytest.mark.django_db
def test_nobody_is_told_to_bring_a_token() -> None:
    answer = client_of().get(PATH)
    assert (answer.status_code, answer.json(), answer["WWW-Authenticate"]) == (
        401,
        {"detail": "Authentication credentials were not provided."},
        "Token",
    )


@pytest.mark.parametrize(
    "header",
    [
        "Token",
        "Token wrong",
        "Token a b",
        "Token \0",
        "Token \xff",
        f"Token {'x' * 5000}",
        "Basic",
        "Basic a b",
        "Basic !!!",
        "Basic YQ",
        "Basic \xff",
        basic("märta", "wrong"),
        basic("nobody", PASSWORD),
        basic("", ""),
        basic("mä\0rta", PASSWORD),
        basic("märta", "\0"),
        basic("x" * 40, ""),
        basic("\0" * 40, ""),
        basic("x" * 5000, "y" * 5000),
        "Basic " + base64.b64encode(b"\xed\xa0\x80:x").decode(),  # a lone surrogate in UTF-8
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Bearer x",
    ],
)
def test_credentials_that_are_wrong_in_any_way_are_a_401(user: User, header: str) -> None:
    answer = ask(header)
    assert (answer.status_code, list(answer.json()), answer["WWW-Authenticate"]) == (401, ["detail"], "Token")


def test_wrong_and_missing_accounts_are_refused_in_the_same_words(user: User) -> None:
    wrong, missing = ask(basic("märta", "wrong")), ask(basic("nobody", "wrong"))
    assert wrong.json() == missing.json() == {"detail": "Invalid username/password."}


def test_an_account_that_was_switched_off_does_not_sign_in(user: User) -> None:
    User.objects.update(is_active=False)
    headers = [f"Token {token_of(user)}", basic(token_of(user), ""), basic("märta", PASSWORD)]
    assert [ask(header).status_code for header in headers] == [401, 401, 401]


@pytest.mark.django_db
@pytest.mark.parametrize("cookie", ['"\\000\\000\\000\\000\\000\\000\\000\\000\\000"', "x" * 5000, "\xff"])
def test_a_broken_session_cookie_is_no_session(cookie: str) -> None:
    client = client_of()
    answer = client.get(PATH, HTTP_COOKIE=f"sessionid={cookie}")
    assert answer.status_code == 401


def test_a_wrong_path_and_a_wrong_method_come_after_authentication_where_there_is_a_view(people: People) -> None:
    assert people.nobody.put(PATH).status_code == 401
    wrong = people.actor.client.put(PATH)
    assert (wrong.status_code, list(wrong.json())) == (405, ["detail"])
    unacceptable = people.actor.client.get(PATH, HTTP_ACCEPT="image/png")
    assert (unacceptable.status_code, list(unacceptable.json())) == (406, ["detail"])
