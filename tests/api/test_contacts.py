"""Whom an account's address and endpoint, and what went wrong on the way to it, are shown to."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from fl_server_core.models import Delivery, Training, User
from fl_server_core.services.delivery_attempts import leave_unanswered, reject_delivery
from fl_server_core.services.participants import add_participants
from tests.api.conftest import People, Person
from tests.builders.clients import browser_of, client_of, staff_with
from tests.builders.rows import make_user

SECRET_URL = "https://hospital.example:8443/inbox/7?key=hidden-key"
WITHOUT_QUERY = "https://hospital.example:8443/inbox/7"
ERROR = "hospital.example refused the connection."


@pytest.fixture
def production(settings: Settings) -> None:
    settings.FL_SHOW_CONTACTS = False


@pytest.fixture
def other(people: People, running: Training) -> Person:
    """Another participant of the running training."""
    user = make_user("other")
    add_participants(training_id=running.pk, user=people.actor.user, user_ids=[user.pk])
    User.objects.filter(pk=people.participant.id).update(message_endpoint=SECRET_URL, email="anna@hospital.example")
    return Person(user, client_of(user))


def start_of_round(person: Person) -> Delivery:
    return Delivery.objects.get(receiver=person.user, notification_type="UPDATE_ROUND_START")


def contacts(row: dict[str, Any]) -> tuple[str, str]:
    return row["email"], row["message_endpoint"]


ALL_OF_IT = ("anna@hospital.example", SECRET_URL)


def shown_to(reader: Person, person: Person) -> list[tuple[str, str]]:
    listed = {row["id"]: row for row in reader.client.get("/api/users/").json()}
    paged = reader.client.get("/api/users/?limit=100").json()
    (in_page,) = (row for row in paged if row["id"] == person.id)
    return [contacts(row) for row in (listed[person.id], in_page, reader.client.get(f"/api/users/{person.id}/").json())]


@pytest.mark.usefixtures("production")
def test_contacts_are_shown_to_their_user_and_to_staff_who_may_view_users(people: People, other: Person) -> None:
    for reader in (people.participant, people.staff):
        assert shown_to(reader, people.participant) == [ALL_OF_IT] * 3
    for reader in (people.actor, other, people.outsider):
        assert shown_to(reader, people.participant) == [("", "")] * 3
    assert contacts(people.participant.client.get("/api/users/myself/").json()) == ALL_OF_IT
    without_permission = make_user("new-clerk", is_staff=True)
    assert shown_to(Person(without_permission, client_of(without_permission)), people.participant) == [("", "")] * 3


@pytest.mark.usefixtures("production")
def test_without_contacts_all_keys_stay(people: People, other: Person) -> None:
    rows = {row["username"]: row for row in people.outsider.client.get("/api/users/").json()}
    assert set(rows["participant"]) == set(rows["outsider"])


def test_by_default_contacts_are_shown_to_everybody_signed_in(people: People, other: Person) -> None:
    assert shown_to(people.outsider, people.participant) == [ALL_OF_IT] * 3


def status_of(running: Training, reader: Person, of: Person) -> tuple[Any, Any, Any]:
    answer = reader.client.get(f"/api/trainings/{running.pk}/status/")
    assert answer.status_code == 200
    assert "hidden-key" not in answer.content.decode()
    (row,) = (row for row in answer.json()["participants"] if row["id"] == of.id)
    return row["message_endpoint"], row["notification"]["id"], row["notification"]["last_error"]


def test_a_status_shows_ids_endpoints_and_errors_to_the_receiver_the_actor_and_staff(
    people: People, running: Training, other: Person
) -> None:
    Delivery.objects.filter(receiver=people.participant.user).update(last_error=ERROR)
    identifier = str(start_of_round(people.participant).uuid)
    for reader in (people.participant, people.actor, people.staff):
        assert status_of(running, reader, people.participant) == (WITHOUT_QUERY, identifier, ERROR)
    assert status_of(running, other, people.participant) == (None, None, None)
    assert status_of(running, other, other) == ("", str(start_of_round(other).uuid), "")
    clerk = make_user("new-clerk", is_staff=True)
    assert client_of(clerk).get(f"/api/trainings/{running.pk}/status/").status_code == 403


def test_staff_who_view_trainings_only_see_no_errors(people: People, running: Training, other: Person) -> None:
    Delivery.objects.filter(receiver=people.participant.user).update(last_error=ERROR)
    fail(running, people.participant)
    clerk = staff_with("view_training", "view_event")
    assert status_of(running, Person(clerk, client_of(clerk)), people.participant) == (None, None, None)
    (event,) = running.events.filter(kind="delivery_failed")
    browser = browser_of(clerk)
    for page in (f"training/{running.pk}", f"event/{event.pk}"):
        answer = browser.get(f"/admin/fl_server_core/{page}/change/")
        assert (answer.status_code, ERROR in answer.content.decode()) == (200, False)
        allowed = browser_of(people.staff.user).get(f"/admin/fl_server_core/{page}/change/")
        assert (allowed.status_code, ERROR in allowed.content.decode()) == (200, True)


def fail(running: Training, person: Person) -> None:
    leave_unanswered(delivery=start_of_round(person), error=ERROR, is_permanent=True)


def test_the_history_and_the_failure_tell_other_participants_that_somebody_was_not_reached_and_not_why(
    people: People, running: Training, other: Person
) -> None:
    fail(running, people.participant)
    sentence = "participant could not be reached with UPDATE_ROUND_START (attempts: 0)."
    for reader, sees in ((people.actor, True), (people.participant, True), (people.staff, True), (other, False)):
        rows = reader.client.get(f"/api/trainings/{running.pk}/history/").json()
        (row,) = (row for row in rows if row["kind"] == "delivery_failed")
        assert (row["message"], row["figures"].get("error")) == (sentence, ERROR if sees else None)
        status = reader.client.get(f"/api/trainings/{running.pk}/status/").json()
        assert (status["state"], status["failure"]) == ("E", sentence)
        assert (ERROR in str(rows) + str(status)) is sees


def test_others_see_no_reason_of_a_rejection(people: People, running: Training, other: Person) -> None:
    reject_delivery(delivery=start_of_round(people.participant), reason="Status 500.")
    for reader, expected in ((people.actor, {"error": "Status 500."}), (other, {})):
        rows = reader.client.get(f"/api/trainings/{running.pk}/history/").json()
        (row,) = (row for row in rows if row["kind"] == "participant_rejected")
        assert (row["message"], row["figures"]) == ("participant rejected UPDATE_ROUND_START.", expected)
    assert people.participant.client.get(f"/api/trainings/{running.pk}/history/").status_code == 403


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [("http://user:pw@host:1/a?b=c#d", "http://host:1/a"), ("http://[::1]/", "http://[::1]/"), ("http://[", "")],
)
def test_of_an_endpoint_the_actor_sees_neither_user_name_nor_query(
    people: People, running: Training, endpoint: str, shown: str
) -> None:
    User.objects.filter(pk=people.participant.id).update(message_endpoint=endpoint)
    status = people.actor.client.get(f"/api/trainings/{running.pk}/status/").json()
    assert status["participants"][0]["message_endpoint"] == shown
