from __future__ import annotations

import json

import pytest
from django.test import override_settings

from fl_server_core.exceptions import InvalidValue
from fl_server_core.models import User
from fl_server_core.services.users import register_user
from tests.api.conftest import People
from tests.builders.clients import client_of, token_of
from tests.builders.rows import make_user

KEYS = {"username", "first_name", "last_name", "email", "id", "actor", "client", "message_endpoint"}
NEW = {"username": "new", "password": "a long enough Passw0rd", "message_endpoint": "http://client-01:8101/"}


@pytest.mark.django_db
def test_anyone_registers_and_is_told_the_token_but_never_the_password() -> None:
    answer = client_of().post("/api/users/", {**NEW, "client": True, "email": "a@Example.com"}, format="json")
    assert answer.status_code == 201
    user = User.objects.get(username="new")
    assert answer.json() == {
        "username": "new",
        "first_name": "",
        "last_name": "",
        "email": "a@example.com",
        "id": str(user.pk),
        "actor": False,
        "client": True,
        "message_endpoint": "http://client-01:8101/",
        "token": token_of(user),
    }
    assert user.check_password(NEW["password"])


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["Token wrong", "Basic !!!", "Basic", "Bearer x"])
def test_registering_ignores_credentials_even_wrong_ones(header: str) -> None:
    answer = client_of().post("/api/users/", NEW, format="json", HTTP_AUTHORIZATION=header)
    assert answer.status_code == 201


@pytest.mark.django_db
def test_nobody_becomes_an_administrator_by_registering() -> None:
    wish = {**NEW, "is_superuser": True, "is_staff": True, "groups": [1], "id": "11111111-1111-4111-8111-111111111111"}
    answer = client_of().post("/api/users/", wish, format="json")
    user = User.objects.get(username="new")
    assert (answer.status_code, user.is_superuser, user.is_staff, str(user.pk) == wish["id"]) == (
        201,
        False,
        False,
        False,
    )


@pytest.mark.django_db
@pytest.mark.parametrize("endpoint", ["http://client-01:8101/", "https://example.com", "http://127.0.0.1:1/x?y", ""])
def test_an_endpoint_is_any_http_url_with_a_host_or_empty(endpoint: str) -> None:
    answer = client_of().post("/api/users/", {**NEW, "message_endpoint": endpoint}, format="json")
    assert (answer.status_code, answer.json()["message_endpoint"]) == (201, endpoint)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", None),
        ("username", ""),
        ("username", "a b"),
        ("username", "x" * 151),
        ("username", "\ufdfa" * 100),  # 100 characters that normalization turns into 1800
        ("username", "nul\0"),
        ("username", "\ud800"),
        ("username", ["a"]),
        ("password", None),
        ("password", "x" * 2000),
        ("message_endpoint", "ftp://example.com/"),
        ("message_endpoint", "http:///path"),
        ("message_endpoint", "client-01"),
        ("message_endpoint", "http://a:99999999/"),
        ("message_endpoint", "http://[/"),
        ("email", "nobody"),
        ("actor", "perhaps"),
        ("client", None),
    ],
)
def test_what_cannot_be_a_user_is_refused_field_by_field(field: str, value: object) -> None:
    body = json.dumps({**NEW, field: value})
    answer = client_of().post("/api/users/", body, content_type="application/json")
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["username", "password"])
def test_name_and_password_are_required(field: str) -> None:
    answer = client_of().post("/api/users/", {key: NEW[key] for key in NEW if key != field}, format="json")
    assert (answer.status_code, answer.json()) == (400, {field: ["This field is required."]})


@pytest.mark.django_db
def test_a_name_that_differs_in_case_only_is_refused() -> None:
    make_user("NEW")
    answer = client_of().post("/api/users/", NEW, format="json")
    assert (answer.status_code, list(answer.json())) == (400, ["username"])
    assert answer.json()["username"][0].startswith("Another account has this name in other upper and lower case.")
    with pytest.raises(InvalidValue, match="other upper and lower case"):  # by staff, or at the server's shell
        register_user(username="nEw", password="x")
    assert client_of().post("/api/users/", {**NEW, "username": "new-2"}, format="json").status_code == 201


@pytest.mark.django_db
def test_a_name_that_somebody_took_meanwhile_is_refused_in_the_same_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    make_user("NEW")
    expected = client_of().post("/api/users/", NEW, format="json").json()
    monkeypatch.setattr("fl_server_api.serializers.user.has_lookalike", lambda _name: False)  # it was free then
    answer = client_of().post("/api/users/", NEW, format="json")
    assert (answer.status_code, answer.json()) == (400, expected)


@pytest.mark.django_db
def test_a_name_is_taken_once_only_even_when_two_ask_at_the_same_moment() -> None:
    make_user("new")
    answer = client_of().post("/api/users/", NEW, format="json")
    assert (answer.status_code, answer.json()) == (400, {"username": ["A user with that username already exists."]})
    with pytest.raises(InvalidValue):  # past the check that the other one had not yet failed
        register_user(username="new", password="x")


@pytest.mark.django_db
@override_settings(
    AUTH_PASSWORD_VALIDATORS=[{"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"}]
)
def test_the_password_validators_of_the_settings_apply() -> None:
    answer = client_of().post(
        "/api/users/", {**NEW, "username": "participant", "password": "participant"}, format="json"
    )
    assert (answer.status_code, list(answer.json())) == (400, ["password"])


def test_everybody_signed_in_sees_every_user_without_tokens(people: People) -> None:
    rows = people.outsider.client.get("/api/users/").json()
    assert [row["username"] for row in rows] == ["actor", "participant", "outsider", "staff"]
    assert all(set(row) == KEYS for row in rows)


def test_the_users_are_listed_by_one_statement_however_many(people: People, django_assert_num_queries: object) -> None:
    for _ in range(20):
        make_user()
    with django_assert_num_queries(2):  # type: ignore[operator]  # the token, and the users
        assert len(people.actor.client.get("/api/users/").json()) == 24


def test_a_user_sees_itself_and_only_on_its_own_page_its_token(people: People) -> None:
    myself = people.actor.client.get("/api/users/myself/").json()
    own = people.actor.client.get(f"/api/users/{people.actor.id}/").json()
    other = people.outsider.client.get(f"/api/users/{people.actor.id}/").json()
    assert myself.pop("trusted_actors") == []
    assert set(myself) == KEYS
    assert own == {**myself, "token": token_of(people.actor.user)}
    assert other == myself


def test_an_id_may_come_without_dashes(people: People) -> None:
    answer = people.outsider.client.get(f"/api/users/{people.actor.user.pk.hex}/")
    assert (answer.status_code, answer.json()["id"]) == (200, people.actor.id)


@pytest.mark.parametrize("identifier", ["6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02", "not-an-id", "%00", "1"])
def test_no_such_user_is_a_400_that_names_the_id(people: People, identifier: str) -> None:
    answer = people.actor.client.get(f"/api/users/{identifier}/")
    shown = "\0" if identifier == "%00" else identifier
    assert (answer.status_code, answer.json()) == (400, {"detail": f"User {shown} not found."})


@pytest.mark.parametrize("path", ["/api/users/", "/api/users/myself/", "/api/users/groups/", "/api/users/trainings/"])
def test_reading_needs_a_login(people: People, path: str) -> None:
    answer = people.nobody.get(path)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Token")
    assert answer.json() == {"detail": "Authentication credentials were not provided."}
