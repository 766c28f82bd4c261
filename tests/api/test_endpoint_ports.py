"""At which ports an account may be notified: checked when the endpoint is set."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from fl_server_core.models import User
from tests.api.admin.test_users import edit
from tests.api.conftest import People
from tests.builders.clients import browser_of, client_of
from tests.builders.rows import make_user

REFUSED = {"message_endpoint": ["Enter a URL with one of the ports 80, 443, 8101. The operator can allow others."]}
ALLOWED = [
    "http://client-01/",
    "http://client-01:80/a",
    "https://client-01/",
    "http://client-01:443/",
    "http://c:8101/",
]
OTHERS = ["http://client-01:8102/", "http://10.0.0.7:6379/", "https://[2001:db8::1]:22/", "http://client-01:0/"]


@pytest.fixture
def production(settings: Settings) -> None:
    settings.FL_PRODUCTION = True
    settings.FL_NOTIFICATION_PORTS = [8101]


def register(endpoint: str) -> Any:
    fields = {"username": "new", "password": "a long enough Passw0rd", "message_endpoint": endpoint}
    return client_of().post("/api/users/", fields, format="json")


@pytest.mark.django_db
@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("endpoint", [*ALLOWED, ""])
def test_a_port_that_the_operator_allows_may_be_named(endpoint: str) -> None:
    assert register(endpoint).status_code == 201
    assert User.objects.get().message_endpoint == endpoint


@pytest.mark.django_db
@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("endpoint", OTHERS)
def test_another_port_is_refused_at_registration(endpoint: str) -> None:
    answer = register(endpoint)
    assert (answer.status_code, answer.json()) == (400, REFUSED)
    assert not User.objects.exists()


@pytest.mark.usefixtures("production")
def test_another_port_is_refused_when_an_account_moves(people: People) -> None:
    for endpoint, expected in ((OTHERS[0], 400), (ALLOWED[0], 200)):
        answer = people.participant.client.patch("/api/users/myself/", {"message_endpoint": endpoint}, format="json")
        assert answer.status_code == expected
    assert people.nobody.patch("/api/users/myself/", {"message_endpoint": ALLOWED[0]}).status_code == 401
    assert User.objects.get(pk=people.participant.id).message_endpoint == ALLOWED[0]
    assert User.objects.get(pk=people.outsider.id).message_endpoint == ""


@pytest.mark.usefixtures("production")
def test_another_port_is_refused_in_the_admin(people: People) -> None:
    anna = make_user("anna", message_endpoint=ALLOWED[0])
    response = edit(browser_of(people.staff.user), anna, message_endpoint=OTHERS[0])
    assert dict(response.context["adminform"].form.errors) == REFUSED


@pytest.mark.django_db
@pytest.mark.parametrize("endpoint", OTHERS)
def test_on_a_laptop_any_port_may_be_named(endpoint: str) -> None:
    assert register(endpoint).status_code == 201


@pytest.mark.django_db
@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("endpoint", ["http://a:99999/", "http://[", "ftp://a:8101/", "nowhere"])
def test_what_is_not_a_url_is_told_once(endpoint: str) -> None:
    answer = register(endpoint)
    assert (answer.status_code, len(answer.json()["message_endpoint"])) == (400, 1)
