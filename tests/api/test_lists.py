"""Lists and histories: whole, or page by page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import FileResponse

from fl_server_api import listing, spooling
from fl_server_core.models import GlobalModel, Training
from tests.api.conftest import People
from tests.builders.rows import (
    make_event,
    make_metric,
    make_model,
    make_training,
    make_training_invitation,
    make_update,
    make_user,
)
from tests.builders.storage import body_of


@pytest.fixture
def many(people: People, model: GlobalModel, running: Training) -> dict[str, int]:
    """Paths of lists, each with the number of entries that the actor sees."""
    for number in range(4):
        make_metric(model, f"m{number}", reporter=people.actor.user)
        make_event(running, round=number)
    make_update(model, people.participant.user)
    host = make_user("host")
    for _ in range(3):
        make_training(people.actor.user)
        make_training_invitation(make_training(host), people.actor.user)
    return {
        "/api/models/": 4,
        "/api/trainings/": 4,
        "/api/users/": 5,
        "/api/users/invitations/": 3,
        "/api/users/trainings/": 4,
        f"/api/models/{model.pk}/metrics/": 4,
        f"/api/models/{model.pk}/versions/": 1,
        f"/api/trainings/{running.pk}/history/": 5,
        f"/api/trainings/{running.pk}/metrics/": 4,
        f"/api/trainings/{running.pk}/models/": 2,
        f"/api/trainings/{running.pk}/models/latest/": 2,
    }


def test_pages_put_together_are_the_whole_list(people: People, many: dict[str, int]) -> None:
    for path, number in many.items():
        whole = people.actor.client.get(path)
        assert (path, len(whole.json()), "X-Total-Count" in whole.headers) == (path, number, False)
        found: list[Any] = []
        link: str | None = f"<{path}?limit=3>"
        while link:
            page = people.actor.client.get(link[1 : link.index(">")])
            assert (page.status_code, page.headers["X-Total-Count"]) == (200, str(number))
            found += page.json()
            link = next((one for one in page.headers.get("Link", "").split(", ") if one.endswith('rel="next"')), None)
        assert (path, found) == (path, whole.json())


def test_a_page_names_the_one_before_it(people: People, many: dict[str, int]) -> None:
    answer = people.actor.client.get("/api/models/?offset=1&limit=2")
    assert answer.headers["Link"] == (
        '</api/models/?limit=2&offset=3>; rel="next", </api/models/?limit=2&offset=0>; rel="prev"'
    )
    past = people.actor.client.get("/api/models/?offset=9")
    assert (past.json(), past.headers["X-Total-Count"]) == ([], "4")


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "offset=-1", "offset=x", "limit=99999999999"])
def test_a_page_that_cannot_be_is_a_400_by_field(people: People, query: str) -> None:
    answer = people.actor.client.get(f"/api/models/?{query}")
    assert (answer.status_code, list(answer.json())) == (400, [query.partition("=")[0]])


def test_pages_hold_what_the_caller_may_read(people: People, many: dict[str, int]) -> None:
    counts = [
        person.client.get("/api/models/?limit=1").headers["X-Total-Count"]
        for person in (people.actor, people.participant, people.outsider)
    ]
    assert counts == ["4", "2", "0"]
    assert people.nobody.get("/api/models/?limit=1").status_code == 401


def test_a_list_made_in_pieces_is_the_same_to_the_byte(
    people: People, many: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in many:
        at_once = people.actor.client.get(path)
        assert at_once.headers["Content-Type"] == "application/json"
        assert at_once.content == json.dumps(at_once.json(), separators=(",", ":"), ensure_ascii=False).encode()
        with monkeypatch.context() as patch:
            patch.setattr(listing.listed, "__kwdefaults__", {"piece": 2})
            assert people.actor.client.get(path).content == at_once.content


def test_a_long_list_waits_on_the_disk(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        make_model(people.actor.user, name=f"model {number}")
    whole = people.actor.client.get("/api/models/")
    monkeypatch.setattr(spooling, "BYTES_IN_MEMORY", 100)
    answer = people.actor.client.get("/api/models/")
    assert isinstance(answer, FileResponse)
    assert answer.headers["Content-Length"] == str(len(whole.content))
    assert body_of(answer) == whole.content


def test_an_indent_and_a_browser_get_what_they_ask_for(people: People) -> None:
    make_user("ümlaut")
    client = people.actor.client
    assert client.get("/api/users/", HTTP_ACCEPT="application/json; indent=4").content.startswith(b"[\n    {")
    page = client.get("/api/users/", HTTP_ACCEPT="text/html")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "ümlaut" in client.get("/api/users/").content.decode()
