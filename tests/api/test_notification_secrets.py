"""`/api/users/myself/notification-secrets/`."""

from __future__ import annotations

import pytest

from fl_server_core.models import EventKind, User
from fl_server_core.selectors.notification_secrets import notification_secrets_of
from fl_server_core.services.tokens import make_token
from tests.api.admin.pages import act, page_url
from tests.api.conftest import People
from tests.api.test_tokens import client_with
from tests.builders.clients import browser_of, make_operator, staff_with
from tests.builders.rows import make_user

PATH = "/api/users/myself/notification-secrets/"


def test_everybody_reads_the_own_secrets_and_no_other_s(people: People) -> None:
    seen = []
    for person in (people.actor, people.participant, people.outsider, people.staff):
        answer = person.client.get(PATH)
        assert (answer.status_code, answer.json()) == (200, {"secrets": notification_secrets_of(person.user)})
        assert answer["Cache-Control"] == "no-store"
        seen += answer.json()["secrets"]
    assert len(set(seen)) == 4
    assert people.nobody.get(PATH).status_code == people.nobody.post(PATH).status_code == 401


@pytest.mark.parametrize("body", [None, {}])
def test_a_rotation_answers_the_new_secret_first_and_the_old_one_too(people: People, body: object) -> None:
    (old,) = people.participant.client.get(PATH).json()["secrets"]
    answer = people.participant.client.post(PATH, body, format="json")
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    new, former = answer.json()["secrets"]
    assert (former, new != old) == (old, True)
    assert people.participant.client.get(PATH).json() == {"secrets": [new, old]}
    assert people.participant.user.events.get().kind == EventKind.SECRET_ROTATED


def test_a_rotation_takes_no_fields(people: People) -> None:
    answer = people.participant.client.post(PATH, {"secret": "whsec_mine"}, format="json")
    assert (answer.status_code, list(answer.json())) == (400, ["secret"])
    assert len(notification_secrets_of(User.objects.get(pk=people.participant.id))) == 1


@pytest.mark.parametrize("scopes", [["read"], ["write"], ["read", "write"], ["account"]])
def test_a_token_needs_the_scope_account(people: People, scopes: list[str]) -> None:
    anna = people.participant.user
    client = client_with(make_token(user=anna, author=anna, name="robot", scopes=scopes)[1])
    expected = (200, 201) if "account" in scopes else (403, 403)
    assert (client.get(PATH).status_code, client.post(PATH).status_code) == expected


def test_no_page_of_the_admin_and_no_list_shows_a_secret(people: People) -> None:
    (secret,) = notification_secrets_of(people.participant.user)
    browser = browser_of(make_operator())
    for url in (page_url(people.participant.user), "/api/users/", f"/api/users/{people.participant.id}/"):
        answer = browser.get(url)
        assert (answer.status_code, secret.removeprefix("whsec_") in answer.content.decode()) == (200, False)


@pytest.mark.django_db
def test_staff_rotate_the_secrets_of_those_whose_accounts_they_change() -> None:
    anna, chief = make_user("anna"), make_operator()
    clerk = browser_of(staff_with("view_user", "change_user"))
    messages = act(clerk, User, "rotate_secrets", anna, chief)
    assert any(message.startswith("Notification secrets rotated: 1 of 2.") for message in messages)
    anna.refresh_from_db()
    chief.refresh_from_db()
    assert (anna.secret_generation, chief.secret_generation) == (1, 0)


@pytest.mark.django_db
def test_staff_who_only_view_accounts_rotate_nothing() -> None:
    anna = make_user("anna")
    act(browser_of(staff_with("view_user")), User, "rotate_secrets", anna)
    anna.refresh_from_db()
    assert anna.secret_generation == 0
