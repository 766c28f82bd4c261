"""Signing in and out on the pages at `/`."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from fl_server_core.models import User
from tests.builders.clients import browser_of
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-password-of-the-owner"


@pytest.fixture
def owner(db: None) -> User:
    return make_user("owner", password=PASSWORD)


def sign_in(client: Client, password: str = PASSWORD, path: str = "/sign-in/", **more: Any) -> Any:
    return client.post(path, {"username": "owner", "password": password, **more})


def test_a_visitor_signs_in_and_comes_where_it_wanted_to(owner: User) -> None:
    client = Client()
    answer = client.get("/tokens/", follow=True)
    assert answer.redirect_chain == [("/sign-in/?next=/tokens/", 302)]
    assert answer.context["next"] == "/tokens/"
    assert sign_in(client, next="/tokens/")["Location"] == "/tokens/"
    assert client.get("/").status_code == 200


def test_nobody_is_led_to_another_host(owner: User) -> None:
    for there in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        assert sign_in(Client(), next=there)["Location"] == "/"


def test_a_wrong_password_is_told_and_a_signed_in_visitor_is_led_on(owner: User) -> None:
    answer = sign_in(Client(), "wrong")
    assert answer.status_code == 200
    assert "Please enter a correct username and password" in answer.content.decode()
    assert browser_of(owner).get("/sign-in/")["Location"] == "/"


def test_who_guesses_is_refused_with_a_sentence_and_a_time(owner: User, settings: Settings) -> None:
    settings.FL_SIGN_IN_FAILURES = 2
    client = Client()
    assert [sign_in(client, "wrong").status_code for _ in range(3)] == [200, 200, 429]
    answer = sign_in(client)  # the right one, too: nothing is hashed any more
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert "Too many failed attempts to sign in." in answer.content.decode()
    assert client.get("/")["Location"] == "/sign-in/?next=/"


def test_signing_in_needs_the_token_of_the_page(owner: User) -> None:
    assert sign_in(Client(enforce_csrf_checks=True)).status_code == 403


def test_one_signs_out_by_a_button_not_by_a_link(owner: User) -> None:
    client = browser_of(owner)
    assert client.get("/sign-out/").status_code == 405
    assert client.get("/").status_code == 200
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


def test_the_page_offers_to_register_where_everyone_may(settings: Settings) -> None:
    settings.FL_REGISTRATION = "open"
    assert 'href="/invitation/"' in Client().get("/sign-in/").content.decode()
    settings.FL_REGISTRATION = "invite"
    assert 'href="/invitation/"' not in Client().get("/sign-in/").content.decode()
