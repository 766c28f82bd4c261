"""Who signs in, and who fails to: what the trail has of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from fl_server_core.models import AuditEntry
from tests.api.trails import PASSWORD, WHO, basic, trail
from tests.builders.clients import client_of
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db


def test_a_password_that_is_right_is_a_sign_in_once_and_not_for_each_request() -> None:
    make_user("anna", password=PASSWORD)
    client = basic("anna", PASSWORD)
    for _ in range(3):
        assert client.get("/api/users/myself/").status_code == 200
    assert trail(*WHO) == [("anna", "password", "sign in", "account", "done", None)]


def test_a_write_that_comes_with_a_password_has_an_entry_besides_the_sign_in() -> None:
    anna = make_user("anna", password=PASSWORD)
    assert basic("anna", PASSWORD).post("/api/groups/", {"name": "new"}).status_code == 201
    assert trail("account_id", "credential", "verb", "object_kind", "address") == [
        (anna.pk, "password", "sign in", "account", "127.0.0.1"),
        (anna.pk, "password", "create", "group", "127.0.0.1"),
    ]


def test_a_new_password_has_an_entry_besides_the_look_at_the_present_one() -> None:
    anna = make_user("anna", password=PASSWORD)
    change = {"password": "battery staple horse correct", "current_password": PASSWORD}
    assert client_of(anna).patch("/api/users/myself/", change, format="json").status_code == 200
    assert trail("credential", "verb", "object_id") == [
        ("password", "sign in", str(anna.pk)),
        ("token", "change", str(anna.pk)),
    ]
    assert "battery" not in str(list(AuditEntry.objects.values()))


def test_who_fails_to_sign_in_is_named_if_there_is_such_an_account() -> None:
    anna = make_user("anna", password=PASSWORD)
    for name in ("anna", "a-password-in-the-wrong-field"):
        assert basic(name, "wrong").get("/api/users/myself/").status_code == 401
    assert trail("account_id", "credential", "verb", "object_id", "outcome", "count") == [
        (None, "password", "sign in", str(anna.pk), "refused", 1)
    ]
    assert "wrong-field" not in str(list(AuditEntry.objects.values()))


def test_an_invalid_token_is_a_refused_sign_in_and_no_credentials_are_a_refusal() -> None:
    client = APIClient()
    client.get("/api/models/")
    client.credentials(HTTP_AUTHORIZATION="Token " + "0" * 40)
    client.get("/api/models/")
    assert trail("credential", "verb", "status") == [("none", "read", 401), ("token", "sign in", 401)]


def test_guesses_beyond_the_limit_are_counted(settings: Any) -> None:
    settings.FL_SIGN_IN_FAILURES = 2
    make_user("anna", password=PASSWORD)
    client = basic("anna", "wrong")
    statuses = [client.get("/api/users/myself/").status_code for _ in range(6)]
    assert statuses == [401, 401, 429, 429, 429, 429]
    assert trail("verb", "status", "count") == [("sign in", 401, 1), ("sign in", 429, 1)]


def test_signing_in_and_out_by_a_form() -> None:
    anna = make_user("anna", password=PASSWORD, is_staff=True)
    browser = Client()
    browser.post("/admin/login/", {"username": "anna", "password": "wrong"})
    browser.post("/admin/login/", {"username": "anna", "password": PASSWORD})
    browser.post("/admin/logout/")
    assert trail("account_name", "credential", "verb", "object_id", "outcome") == [
        ("", "none", "sign in", str(anna.pk), "refused"),
        ("anna", "session", "sign in", str(anna.pk), "done"),
        ("anna", "session", "sign out", str(anna.pk), "done"),
    ]
