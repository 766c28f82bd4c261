"""`/api/users/myself/tokens/`, and what a token may do."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from fl_server_core.models import AccessToken, GlobalModel, User
from tests.api.admin.pages import list_url, page_url
from tests.api.conftest import People
from tests.api.test_authentication import basic
from tests.builders.clients import browser_of, client_of, make_operator, staff_with, token_of
from tests.builders.rows import make_token, make_user
from tests.builders.storage import body_of

PATH = "/api/users/myself/tokens/"


def client_with(key: str) -> APIClient:
    client = client_of()
    client.credentials(HTTP_AUTHORIZATION=f"Token {key}")
    return client


def make(client: APIClient, **wanted: Any) -> Any:
    answer = client.post(PATH, {"name": "laptop", **wanted}, format="json")
    assert answer.status_code == 201, answer.json()
    return answer.json()


def test_a_token_is_shown_once_and_listed_without_its_key(people: People) -> None:
    later = timezone.now() + timedelta(days=30)
    made = make(people.actor.client, scopes=["read"], expires_at=later.isoformat())
    key = made.pop("token")
    assert (made["name"], made["scopes"], made["is_api_token"], made["last_used_at"]) == (
        "laptop",
        ["read"],
        False,
        None,
    )
    listed = people.actor.client.get(PATH).json()
    assert [row["is_api_token"] for row in listed] == [True, False]
    assert listed[1] == made == people.actor.client.get(f"{PATH}{made['id']}/").json()
    assert key not in str(listed)
    assert client_with(key).get("/api/users/myself/").json()["username"] == "actor"
    assert people.actor.client.get(f"{PATH}{made['id']}/").json()["last_used_at"] is not None


def test_a_token_counts_as_a_username_too(people: People) -> None:
    key = make(people.actor.client)["token"]
    answer = client_of().get("/api/users/myself/", HTTP_AUTHORIZATION=basic(key, ""))
    assert answer.json()["username"] == "actor"


def test_without_scopes_a_token_reads_and_writes(people: People) -> None:
    assert make(people.actor.client)["scopes"] == ["read", "write"]


def test_an_ended_token_is_a_401(people: People) -> None:
    made = make(people.actor.client)
    assert people.actor.client.delete(f"{PATH}{made['id']}/").status_code == 204
    assert client_with(made["token"]).get(PATH).status_code == 401


def test_an_api_token_that_is_ended_has_a_successor_on_the_user_s_page(people: People) -> None:
    old = people.actor.client.get(PATH).json()[0]
    assert people.actor.client.delete(f"{PATH}{old['id']}/").status_code == 204
    assert people.actor.client.get(PATH).status_code == 401
    browser = browser_of(people.actor.user)
    new = browser.get(f"/api/users/{people.actor.id}/").json()["token"]
    assert client_with(new).get(PATH).status_code == 200


@pytest.mark.parametrize("method", ["get", "delete"])
def test_another_s_token_is_unknown(people: People, method: str) -> None:
    theirs = people.participant.user.tokens.get().pk
    for identifier in (theirs, uuid4(), "nonsense"):
        answer = getattr(people.actor.client, method)(f"{PATH}{identifier}/")
        assert (answer.status_code, answer.json()) == (400, {"detail": f"Token {identifier} not found."})
    assert people.participant.user.tokens.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("name", ""),
        ("name", "x" * 101),
        ("name", "\0"),
        ("scopes", []),
        ("scopes", ["everything"]),
        ("scopes", "read"),
        ("expires_at", "tomorrow"),
        ("colour", "red"),
    ],
)
def test_what_cannot_be_a_token_is_refused_field_by_field(people: People, field: str, value: object) -> None:
    answer = people.actor.client.post(PATH, {"name": "laptop", field: value}, format="json")
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_a_token_that_would_be_expired_from_the_start_is_refused(people: People) -> None:
    wanted = {"name": "laptop", "expires_at": "2000-01-01T00:00:00Z"}
    answer = people.actor.client.post(PATH, wanted, format="json")
    assert (answer.status_code, answer.json()) == (400, {"detail": "A token must expire in the future."})


def test_a_token_that_reads_does_not_write(people: People, model: GlobalModel) -> None:
    reader = client_with(make(people.actor.client, scopes=["read"])["token"])
    assert len(body_of(reader.get(f"/api/models/{model.pk}/"))) > 100
    refused = reader.post("/api/groups/", {"name": "x"})
    assert (refused.status_code, refused.json()) == (
        403,
        {"detail": "This token may not do this: it lacks the scope 'write'."},
    )
    assert reader.delete(f"/api/models/{model.pk}/").status_code == 403
    question = {"model_id": str(model.pk), "model_input": []}
    assert reader.post("/api/inference/", question, format="json").status_code == 400  # it may ask


def test_a_token_that_writes_does_not_read(people: People) -> None:
    writer = client_with(make(people.actor.client, scopes=["write"])["token"])
    assert writer.get("/api/users/").status_code == 403
    assert writer.post("/api/groups/", {"name": "x"}).status_code == 201


def test_a_token_without_the_scope_for_it_does_not_manage_the_account(people: People) -> None:
    client = client_with(make(people.actor.client)["token"])
    mine = people.actor.user.tokens.first()
    assert mine is not None
    answers = [
        client.post(PATH, {"name": "more"}),
        client.delete(f"{PATH}{mine.pk}/"),
        client.patch("/api/users/myself/", {"first_name": "x"}),
        client.delete("/api/users/myself/"),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert answers[0].json() == {"detail": "This token may not do this: it lacks the scope 'account'."}
    assert "token" not in client.get(f"/api/users/{people.actor.id}/").json()


def test_a_token_gives_no_scope_that_it_lacks(people: People) -> None:
    client = client_with(make(people.actor.client, scopes=["account", "read"])["token"])
    refused = client.post(PATH, {"name": "more", "scopes": ["write"]}, format="json")
    assert (refused.status_code, "'write'" in refused.json()["detail"]) == (403, True)
    assert make(client, scopes=["read"])["scopes"] == ["read"]


def test_managing_tokens_needs_a_login(people: People) -> None:
    for answer in (people.nobody.get(PATH), people.nobody.post(PATH, {"name": "x"}), people.nobody.delete(f"{PATH}1/")):
        assert answer.status_code == 401


def test_a_superuser_makes_a_token_for_somebody_and_sees_it_once(db: None) -> None:
    browser, anna = browser_of(make_operator()), make_user("anna")
    fields = {"user": str(anna.pk), "name": "robot", "scopes": ["read"]}
    made = browser.post("/admin/fl_server_core/accesstoken/add/", fields)
    (key,) = re.findall(r'<code id="secret">([\w-]{40})</code>', made.content.decode())
    assert client_with(key).get("/api/users/myself/").json()["username"] == "anna"
    row = AccessToken.objects.get(name="robot")
    for url in (list_url(AccessToken), page_url(row)):
        page = browser.get(url)
        assert (page.status_code, key in page.content.decode()) == (200, False)
    assert browser.post(page_url(row, "delete"), {"post": "yes"}).status_code == 302
    assert client_with(key).get("/api/users/myself/").status_code == 401


def test_staff_end_tokens_of_those_they_manage_and_make_none(db: None) -> None:
    clerk = browser_of(staff_with("view_accesstoken", "add_accesstoken", "delete_accesstoken", "change_user"))
    anna, chief = make_user("anna"), make_operator()
    mine, theirs = make_token(anna), make_token(chief)
    fields = {"user": str(anna.pk), "name": "robot", "scopes": ["read"]}
    assert clerk.post("/admin/fl_server_core/accesstoken/add/", fields).status_code == 403
    assert clerk.post(page_url(mine, "delete"), {"post": "yes"}).status_code == 302
    assert clerk.post(page_url(theirs, "delete"), {"post": "yes"}).status_code == 403
    assert list(AccessToken.objects.filter(generation=None)) == [theirs]


def test_no_log_holds_a_token_or_a_password(people: People, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("django").propagate = True
    user = make_user("märta", password="a long enough Passw0rd")
    key = make(people.actor.client)["token"]
    for header in (f"Token {key}", basic(key, ""), f"Token {token_of(user)}x", basic("märta", "a wrong Passw0rd")):
        for _ in range(12):
            client_of().get("/api/users/", HTTP_AUTHORIZATION=header)
    Client().post("/admin/login/", {"username": "märta", "password": "a wrong Passw0rd"})
    assert "Too many failures" in caplog.text
    text = caplog.text
    assert [secret for secret in (key, token_of(user), "Passw0rd") if secret in text] == []
    assert User.objects.filter(username="märta").exists()
