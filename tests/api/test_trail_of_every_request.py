"""The trail, whatever the request: no write without an entry, at a constant price."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from fl_server_api.deeds import DEEDS
from fl_server_api.urls import urlpatterns
from fl_server_core.models import AuditEntry, Training
from tests.api.conftest import People
from tests.api.trails import trail, update

pytestmark = pytest.mark.django_db
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def test_a_write_that_can_not_be_told_is_not_confirmed(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(AuditEntry, "save", fail)
    answer = people.actor.client.post("/api/groups/", {"name": "new"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json() == {"detail": "The database is unavailable. Try again later."}


def test_a_refusal_that_can_not_be_told_stays_a_refusal(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr(AuditEntry.objects, "bulk_create", fail)
        assert people.nobody.get("/api/models/").status_code == 401
    assert trail("verb") == []
    people.actor.client.post("/api/groups/", {"name": "new"})
    assert trail("verb") == ["create", "read"]


def test_an_entry_costs_one_statement(people: People) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        people.actor.client.post("/api/groups/", {"name": "new"})
    told = [query["sql"] for query in queries if "auditentry" in query["sql"]]
    assert len(told) == 1
    assert told[0].startswith("INSERT")


def test_a_round_of_any_size_breaks_no_entry(people: People, running: Training) -> None:
    assert people.participant.client.post(f"/api/models/{running.model_id}/", update(2**40)).status_code == 400
    assert trail("verb", "round", "status") == [("upload", None, 400)]


def test_every_request_that_writes_has_a_verb() -> None:
    known = {(method, str(pattern.pattern)) for pattern in urlpatterns for method in METHODS if takes(pattern, method)}
    writes = {(method, route) for method, route in known if method != "GET"}
    assert writes == {deed for deed in DEEDS if deed[0] != "GET"}
    assert {deed for deed in DEEDS if deed[0] == "GET"} < known


def takes(pattern: Any, method: str) -> bool:
    view = getattr(pattern.callback, "view_class", None) or pattern.callback.cls
    return hasattr(view, method.lower())
