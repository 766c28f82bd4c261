"""Tokens on the pages at `/`: made, shown once, ended by their owner."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from fl_server_core.models import AccessToken, Event, EventKind, User
from fl_server_core.services.tokens import MAX_TOKENS
from tests.builders.clients import browser_of, token_of
from tests.builders.rows import make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(db: None) -> User:
    return make_user("owner")


def status_with(key: str) -> int:
    return int(APIClient().get("/api/users/myself/", headers={"Authorization": f"Token {key}"}).status_code)


def test_a_token_is_made_and_shown_once(owner: User) -> None:
    client = browser_of(owner)
    answer = client.post("/tokens/", {"name": "laptop", "scopes": ["read"], "expires": "30"})
    key = answer.context["key"]
    assert key in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert key not in client.get("/tokens/").content.decode()
    assert status_with(key) == 200
    token = AccessToken.objects.get(user=owner, name="laptop")
    assert token.scopes == ["read"]
    assert token.expires_at is not None
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    assert Event.objects.get(kind=EventKind.TOKEN_MADE).author == owner


def test_the_page_shows_no_key_of_the_api_token(owner: User) -> None:
    key = token_of(owner)
    page = browser_of(owner).get("/tokens/")
    assert [token.is_api_token for token in page.context["tokens"]] == [True]
    assert key not in page.content.decode()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"name": "", "scopes": ["read"]}, "This field is required."),
        ({"name": "x" * 101, "scopes": ["read"]}, "at most 100 characters"),
        ({"name": "a\0b", "scopes": ["read"]}, "Null characters are not allowed."),
        ({"name": "x"}, "This field is required."),
        ({"name": "x", "scopes": ["everything"]}, "Select a valid choice."),
        ({"name": "x", "scopes": ["read"], "expires": "100000000"}, "Select a valid choice."),
    ],
)
def test_a_form_that_is_wrong_makes_nothing(owner: User, data: dict[str, object], told: str) -> None:
    before = owner.tokens.count()
    answer = browser_of(owner).post("/tokens/", data)
    assert answer.status_code == 200
    errors = str(answer.context["form"].errors)
    assert told in errors
    assert owner.tokens.count() == before


def test_the_refusal_of_one_too_many_is_in_the_form(owner: User) -> None:
    for _ in range(MAX_TOKENS - owner.tokens.count()):
        make_token(owner)
    page = browser_of(owner).post("/tokens/", {"name": "x", "scopes": ["read"]}).content.decode()
    assert f"An account can have {MAX_TOKENS} tokens." in page
    assert owner.tokens.count() == MAX_TOKENS


def test_ending_asks_first(owner: User) -> None:
    token = make_token(owner, "old")
    client = browser_of(owner)
    assert "old" in client.get(f"/tokens/{token.pk}/end/").content.decode()
    assert AccessToken.objects.filter(pk=token.pk).exists()
    assert client.post(f"/tokens/{token.pk}/end/")["Location"] == "/tokens/"
    assert not AccessToken.objects.filter(pk=token.pk).exists()
    assert Event.objects.get(kind=EventKind.TOKEN_ENDED).author == owner


def test_an_ended_api_token_has_a_successor(owner: User) -> None:
    key = token_of(owner)
    client = browser_of(owner)
    token = AccessToken.objects.get(user=owner)
    assert "another one takes its place" in client.get(f"/tokens/{token.pk}/end/").content.decode()
    client.post(f"/tokens/{token.pk}/end/")
    owner.refresh_from_db()
    assert status_with(key) == 401
    assert status_with(token_of(owner)) == 200


def test_others_neither_see_nor_end_it(owner: User) -> None:
    token = make_token(owner, "tablet")
    for name in ("participant", "outsider"):
        client = browser_of(make_user(name))
        assert "tablet" not in client.get("/tokens/").content.decode()
        assert client.get(f"/tokens/{token.pk}/end/").status_code == 404
        assert client.post(f"/tokens/{token.pk}/end/").status_code == 404
    assert Client().post(f"/tokens/{token.pk}/end/")["Location"].startswith("/sign-in/")
    assert Client().post("/tokens/", {"name": "x", "scopes": ["read"]})["Location"].startswith("/sign-in/")
    assert AccessToken.objects.filter(pk=token.pk).exists()
