"""Refusals as RFC 9457 has them, for those whose Accept header names them; the recorded bodies for all others."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from fl_server_api import problems
from fl_server_api.views import users
from fl_server_core.models import Training
from tests.api.conftest import People
from tests.builders.rows import make_model

PROBLEM = "application/problem+json"
BOTH = f"application/json, {PROBLEM}"
NO_ID = "/api/models/5f1d7bd4-3c44-4c1b-8e67-0e0e9a4f1f10/"

pytestmark = pytest.mark.django_db


def told(answer: Any, status: int) -> Any:
    assert (answer.status_code, answer["Content-Type"]) == (status, PROBLEM), answer.content
    assert answer["Content-Length"] == str(len(answer.content))
    assert "Accept" in answer["Vary"]
    return answer.json()


@pytest.mark.parametrize("accept", [BOTH, PROBLEM, f"text/csv, {PROBLEM};q=0.1", "Application/Problem+JSON"])
def test_a_sentence_becomes_its_detail(people: People, accept: str) -> None:
    answer = people.outsider.client.get(f"{NO_ID}metadata/", HTTP_ACCEPT=accept)
    assert told(answer, 400) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "Model 5f1d7bd4-3c44-4c1b-8e67-0e0e9a4f1f10 not found.",
        "instance": f"{NO_ID}metadata/",
    }


def test_a_list_of_sentences_becomes_one_detail(people: People) -> None:
    answer = people.actor.client.post("/api/models/", {"description": ""}, HTTP_ACCEPT=BOTH)
    assert told(answer, 400)["detail"] == "Missing required field: name"


def test_a_wrong_shape_is_told_in_full_where_the_recorded_body_is_short(people: People) -> None:
    model = make_model(people.actor.user, input_shape=[None, 3])
    body = {"model_id": str(model.pk), "model_input": [[1.0, 2.0]]}
    client = people.actor.client
    answer = client.post("/api/inference/", body, content_type="application/json")
    assert (answer.status_code, answer.json()) == (400, ["Input shape does not match model input shape."])
    detail = told(client.post("/api/inference/", body, content_type="application/json", HTTP_ACCEPT=BOTH), 400)[
        "detail"
    ]
    assert "What reaches the model has the shape [1, 2]; its input_shape is [?, 3]" in detail


def test_sentences_by_field_are_its_errors(people: People) -> None:
    recorded = people.participant.client.get("/api/models/", {"limit": "0", "offset": "x"})
    assert recorded["Content-Type"] == "application/json"
    problem = told(people.participant.client.get("/api/models/", {"limit": "0", "offset": "x"}, HTTP_ACCEPT=BOTH), 400)
    assert set(recorded.json()) == {"limit", "offset"}
    assert (problem["errors"], problem["detail"]) == (recorded.json(), "Look at these fields: limit, offset.")


def test_each_person_is_refused_with_the_status_that_is_recorded(people: People, running: Training) -> None:
    path = f"/api/trainings/{running.pk}/stop/"
    assert told(people.nobody.post(path, HTTP_ACCEPT=BOTH), 401)["title"] == "Unauthorized"
    assert told(people.outsider.client.post(path, HTTP_ACCEPT=BOTH), 403)["title"] == "Forbidden"
    assert told(people.participant.client.post(path, HTTP_ACCEPT=BOTH), 403)["status"] == 403
    answer = people.actor.client.post(path, HTTP_ACCEPT=BOTH)
    assert (answer.status_code, answer["Content-Type"]) == (202, "application/json")


@pytest.mark.parametrize("accept", ["*/*", "application/*", "application/json", f"*/*, {PROBLEM};q=0"])
def test_the_recorded_body_comes_unless_problems_are_named(people: People, accept: str) -> None:
    answer = people.actor.client.get(f"{NO_ID}metadata/", HTTP_ACCEPT=accept)
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == {"detail": "Model 5f1d7bd4-3c44-4c1b-8e67-0e0e9a4f1f10 not found."}


def test_what_is_no_problem_is_json_to_those_who_name_problems_alone(people: People) -> None:
    answer = people.actor.client.get("/api/users/myself/", HTTP_ACCEPT=PROBLEM)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert people.actor.client.get("/api/users/myself/", HTTP_ACCEPT="text/csv").status_code == 406


def test_an_accept_header_that_cannot_be_read_names_nothing(people: People) -> None:
    answer = people.actor.client.get("/api/users/myself/", HTTP_ACCEPT=f"{PROBLEM};a*=bogus''x")
    assert (answer.status_code, answer["Content-Type"]) == (406, "application/json")


def test_a_browser_gets_its_page(people: People) -> None:
    answer = people.actor.client.get(f"{NO_ID}metadata/", HTTP_ACCEPT=f"text/html, {PROBLEM};q=0.5")
    assert (answer.status_code, answer["Content-Type"].partition(";")[0]) == (400, "text/html")


def test_a_refused_download_and_an_unknown_path_are_problems(people: People) -> None:
    assert (
        told(people.outsider.client.get(NO_ID, HTTP_ACCEPT=f"application/octet-stream, {PROBLEM}"), 400)["instance"]
        == NO_ID
    )
    assert told(people.outsider.client.get("/api/ä b/", HTTP_ACCEPT=BOTH), 404)["instance"] == "/api/%C3%A4%20b/"


def test_so_are_refusals_that_no_view_makes(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OperationalError

    monkeypatch.setattr(users, "MyselfSerializer", fail)
    answer = people.actor.client.get("/api/users/myself/", HTTP_ACCEPT=BOTH)
    assert told(answer, 503)["detail"] == "The database is unavailable. Try again later."
    assert answer["Retry-After"] == "5"


def test_other_shapes_keep_all_that_they_say() -> None:
    assert problems.problem(409, "/api/", {"detail": "No.", "more": 1})["more"] == 1
    nested = problems.problem(400, "/api/", [{"a": ["No."]}])
    assert (nested["errors"], nested["detail"]) == ([{"a": ["No."]}], "Look at the errors.")
