from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import People
from tests.builders.clients import client_of


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_a_path_without_its_slash_is_sent_there_by_any_method(settings: Any, method: str, debug: bool) -> None:
    settings.DEBUG = debug
    answer = getattr(client_of(), method)("/api/models")
    assert (answer.status_code, answer["Location"]) == (301, "/api/models/")


def test_the_query_and_quoted_characters_are_kept() -> None:
    answer = client_of().get("/api/trainings/a%20b%3F?x=1&y=%C3%BC", HTTP_AUTHORIZATION="Token wrong")
    assert (answer.status_code, answer["Location"]) == (301, "/api/trainings/a%20b%3F/?x=1&y=%C3%BC")


def test_the_location_stays_on_this_server() -> None:
    answer = client_of().get("//example.com/..//api/users")
    assert not answer.has_header("Location") or answer["Location"].startswith("/%2F")


@pytest.mark.parametrize("path", ["/admin", "/api-auth/login", "/api/schema/redoc"])
def test_other_pages_are_found_without_their_slash_too(path: str) -> None:
    answer = client_of().get(path)
    assert (answer.status_code, answer["Location"]) == (301, f"{path}/")


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", ["/api/nothing/", "/api/nothing", "/api/", "/api/models/a/b/", "/api/groups/abc/"])
@pytest.mark.parametrize("method", ["get", "post", "delete", "options"])
def test_a_path_that_is_none_is_a_404_in_json(settings: Any, method: str, path: str, debug: bool) -> None:
    settings.DEBUG = debug
    answer = getattr(client_of(), method)(path)
    assert (answer.status_code, answer["Content-Type"], answer.json()) == (
        404,
        "application/json",
        {"detail": "Not found."},
    )


def test_a_browser_gets_pages_and_a_machine_json(people: People) -> None:
    page = people.actor.client.get("/api/users/", HTTP_ACCEPT="text/html")
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert people.actor.client.get("/api/users/")["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    [
        "users/", "users/myself/", "users/{}/", "users/groups/", "users/trainings/", "groups/", "groups/1/", "models/",
        "models/{}/", "models/{}/metadata/", "models/{}/metrics/", "models/{}/preprocessing/", "models/{}/swag/",
        "trainings/", "trainings/{}/", "trainings/{}/start/", "trainings/{}/clients/", "trainings/{}/models/",
        "trainings/{}/models/latest/", "trainings/{}/status/", "trainings/{}/history/", "trainings/{}/resume/",
        "trainings/{}/stop/", "inference/", "notifications/", "notifications/{}/ack/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["get", "post", "options"])
def test_every_page_can_be_shown_in_a_browser(people: People, path: str, method: str) -> None:
    address = f"/api/{path.format(people.actor.id)}"
    body = '{"a": "\\ud800\\u0000"}'
    answer = people.actor.client.generic(
        method.upper(), address, body, content_type="application/json", HTTP_ACCEPT="text/html"
    )
    assert answer.status_code < 500
    assert answer["Content-Type"].startswith("text/html")
