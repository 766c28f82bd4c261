"""`PATCH` and `DELETE /api/users/myself/`."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, override_settings

from fl_server_core.models import Event, EventKind, Training, User
from tests.api.conftest import People
from tests.builders.clients import client_of, token_of
from tests.builders.rows import make_user

PATH = "/api/users/myself/"
OLD, NEW = "a long enough Passw0rd", "another long Passw0rd"


@pytest.fixture
def anna(db: None) -> User:
    return make_user("anna", password=OLD)


def patch(user: User, **values: Any) -> Any:
    return client_of(user).patch(PATH, values, format="json")


def test_a_user_changes_names_email_and_endpoint(anna: User) -> None:
    values = {
        "first_name": "Anna",
        "last_name": "Müller",
        "email": "anna@EXAMPLE.org",
        "message_endpoint": "http://client-01:8101/",
    }
    answer = patch(anna, **values)
    assert answer.status_code == 200
    anna.refresh_from_db()
    assert answer.json() == {
        **values,
        "email": "anna@example.org",
        "username": "anna",
        "id": str(anna.pk),
        "actor": False,
        "client": False,
        "token": token_of(anna),
        "trusted_actors": [],
    }
    assert anna.last_name == "Müller"
    event = Event.objects.get()
    assert (event.kind, event.user, event.author) == (EventKind.EDITED, anna, anna)
    assert event.figures == {"edited": sorted(values)}


def test_what_is_left_out_stays(anna: User) -> None:
    User.objects.update(first_name="Anna", message_endpoint="http://a/")
    assert patch(anna, message_endpoint="").json()["first_name"] == "Anna"
    anna.refresh_from_db()
    assert (anna.first_name, anna.message_endpoint) == ("Anna", "")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"message_endpoint": "ftp://a/"}, "message_endpoint"),
        ({"email": "nobody"}, "email"),
        ({"first_name": "x" * 200}, "first_name"),
        ({"first_name": "\0"}, "first_name"),
        ({"username": "other"}, "username"),
        ({"is_staff": True}, "is_staff"),
        ({"actor": True}, "actor"),
        ({"password": NEW}, "current_password"),
        ({"password": NEW, "current_password": "wrong"}, "current_password"),
        ({"password": "x" * 2000, "current_password": OLD}, "password"),
        ({"password": "", "current_password": OLD}, "password"),
        ({}, "non_field_errors"),
    ],
)
def test_what_cannot_be_changed_is_refused_by_field(anna: User, values: dict[str, Any], field: str) -> None:
    answer = patch(anna, **values)
    assert (answer.status_code, list(answer.json())) == (400, [field])
    anna.refresh_from_db()
    assert (anna.check_password(OLD), anna.is_staff, anna.first_name) == (True, False, "")
    assert not Event.objects.exists()


def test_a_new_password_needs_the_present_one_and_ends_all_tokens(anna: User) -> None:
    old = token_of(anna)
    answer = patch(anna, password=NEW, current_password=OLD)
    assert answer.status_code == 200
    anna.refresh_from_db()
    assert anna.check_password(NEW)
    assert answer.json()["token"] == token_of(anna) != old
    assert client_of().get(PATH, HTTP_AUTHORIZATION=f"Token {old}").status_code == 401
    assert [event.kind for event in Event.objects.all()] == [EventKind.PASSWORD_CHANGED]


@override_settings(
    AUTH_PASSWORD_VALIDATORS=[{"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"}]
)
def test_a_new_password_must_be_a_good_one(anna: User) -> None:
    answer = patch(anna, password="1234567890", current_password=OLD)
    assert (answer.status_code, list(answer.json())) == (400, ["password"])


def test_the_session_in_which_the_password_is_changed_goes_on_and_others_end(anna: User) -> None:
    here, there = Client(), Client()
    for browser in (here, there):
        browser.force_login(anna)
    body = {"password": NEW, "current_password": OLD}
    assert here.patch(PATH, body, content_type="application/json").status_code == 200
    assert (here.get(PATH).status_code, there.get(PATH).status_code) == (200, 401)


def test_an_account_without_a_password_is_sent_to_the_operator(db: None) -> None:
    answer = patch(make_user("robot"), password=NEW, current_password="x")
    assert answer.json() == {"current_password": ["This account has no password. Ask the operator to set one."]}


def test_who_holds_a_token_cannot_guess_the_present_password(anna: User) -> None:
    for _ in range(10):
        assert patch(anna, password=NEW, current_password="wrong").status_code == 400
    refused = patch(anna, password=NEW, current_password=OLD)
    assert (refused.status_code, "Too many failed attempts" in refused.json()["detail"]) == (429, True)
    assert int(refused["Retry-After"]) > 200


def test_a_user_deletes_its_account_and_what_is_its(people: People, training: Training) -> None:
    answer = people.actor.client.delete(PATH)
    assert (answer.status_code, answer.json()) == (200, {"detail": "Account removed!"})
    assert not User.objects.filter(pk=people.actor.user.pk).exists()
    assert not Training.objects.filter(pk=training.pk).exists()
    assert people.actor.client.get(PATH).status_code == 401
    assert Event.objects.get(kind=EventKind.DELETED).message == "The account actor was deleted."


def test_a_participant_who_deletes_its_account_leaves_its_trainings(people: People, running: Training) -> None:
    assert people.participant.client.delete(PATH).status_code == 200
    assert not running.participants.exists()


def test_changing_and_deleting_need_a_login(people: People) -> None:
    assert people.nobody.patch(PATH, {"first_name": "x"}).status_code == 401
    assert people.nobody.delete(PATH).status_code == 401
