"""A training's metrics, to take away: JSON, JSON lines, CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fl_server_api import spooling
from fl_server_core.models import GlobalModel, Metric, Training
from tests.api.conftest import People
from tests.builders.clients import client_of, staff_with
from tests.builders.rows import make_metric, make_training, make_update
from tests.builders.storage import body_of


def get(client: Any, training: Training, format: str | None = None, **headers: str) -> Any:
    query = {} if format is None else {"format": format}
    return client.get(f"/api/trainings/{training.pk}/metrics/", query, **headers)


def content_of(answer: Any) -> str:
    return (body_of(answer) if answer.streaming else answer.content).decode()


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def reported(people: People, model: GlobalModel, training: Training) -> list[Metric]:
    """Of the model, of the participant's update, and of a model that is not of this training."""
    make_metric(make_training(people.outsider.user).model, "loss", 9.0)
    update = make_update(model, people.participant.user)
    return [
        make_metric(
            model, "accuracy", 0.1 + 0.2, reporter=people.participant.user, step=3, version=model.current_version
        ),
        make_metric(update, "loss", 1e-300, reporter=people.participant.user, step=3),
        make_metric(model, "plot", b"\x00\xff\x01", step=4),
    ]


def test_the_actor_reads_the_metrics_of_the_model_and_of_all_updates(
    people: People, model: GlobalModel, training: Training, reported: list[Metric]
) -> None:
    rows = get(people.actor.client, training).json()
    assert [(row["key"], row["step"], row["version"], row["value"]) for row in rows] == [
        ("accuracy", 3, 0, 0.30000000000000004),
        ("loss", 3, None, 1e-300),
        ("plot", 4, None, None),
    ]
    assert [(row["reporter_name"], row["is_update"], row["binary_size"]) for row in rows] == [
        ("participant", False, None),
        ("participant", True, None),
        (None, False, 3),
    ]
    assert (rows[0]["reporter"], rows[0]["model"]) == (people.participant.id, str(model.pk))


def test_every_format_tells_the_same(people: People, training: Training, reported: list[Metric]) -> None:
    rows = get(people.actor.client, training).json()
    lines = get(people.actor.client, training, "jsonl")
    assert [json.loads(line) for line in content_of(lines).splitlines()] == rows
    as_csv = get(people.actor.client, training, "csv")
    cells = table(content_of(as_csv))
    assert [list(row) for row in cells] == [list(row) for row in rows]
    assert [float(row["value"]) for row in cells[:2]] == [0.1 + 0.2, 1e-300]
    assert (cells[2]["value"], cells[2]["binary_size"], cells[1]["is_update"]) == ("", "3", "true")
    assert lines.headers["Content-Type"] == "application/jsonl"
    assert as_csv.headers["Content-Disposition"] == f'attachment; filename="metrics-{training.pk}.csv"'


@pytest.mark.parametrize(
    ("accept", "type"),
    [("text/csv", "text/csv; charset=utf-8"), ("application/jsonl", "application/jsonl"), ("*/*", "application/json")],
)
def test_the_accept_header_chooses_too(
    people: People, training: Training, reported: list[Metric], accept: str, type: str
) -> None:
    assert get(people.actor.client, training, HTTP_ACCEPT=accept).headers["Content-Type"] == type


def test_a_format_that_is_not_known_is_refused_with_those_that_are(people: People, training: Training) -> None:
    answer = get(people.actor.client, training, "xml")
    assert answer.status_code == 400
    assert answer.json() == {"format": ["Choose one of these formats: json, jsonl, csv, api."]}


def test_a_participant_reads_those_of_its_own_updates_only(
    people: People, model: GlobalModel, training: Training, reported: list[Metric]
) -> None:
    make_metric(make_update(model, people.staff.user), "loss", 2.0)
    keys = [(row["key"], row["is_update"]) for row in get(people.participant.client, training).json()]
    assert keys == [("accuracy", False), ("loss", True), ("plot", False)]
    assert len(get(people.actor.client, training).json()) == 4


@pytest.mark.parametrize("format", [None, "json", "csv", "jsonl"])
def test_outsiders_are_refused_in_json_whatever_the_format(
    people: People, training: Training, format: str | None
) -> None:
    answer = get(people.outsider.client, training, format)
    assert (answer.status_code, answer.json()) == (
        403,
        {"detail": "You do not have permission to perform this action."},
    )
    assert get(people.nobody, training, format).status_code == 401
    assert get(people.staff.client, training, format).status_code == 200


def test_staff_need_the_permission_to_view_metrics(people: People, training: Training, reported: list[Metric]) -> None:
    clerk = staff_with("view_training")
    assert get(client_of(clerk), training).status_code == 403
    clerk.delete()
    assert len(get(client_of(staff_with("view_metric")), training).json()) == 3


def test_an_unknown_training_is_refused(people: People) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    answer = people.actor.client.get(f"/api/trainings/{unknown}/metrics/")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Training {unknown} not found."})


def test_a_name_that_begins_like_a_formula_is_text_in_a_spreadsheet(
    people: People, model: GlobalModel, training: Training
) -> None:
    for key in ("=1+1", "+1", "-1", "@sum", "\tx", "a=b"):
        make_metric(model, key, -0.5)
    cells = table(content_of(get(people.actor.client, training, "csv")))
    assert [row["key"] for row in cells] == ["'=1+1", "'+1", "'-1", "'@sum", "'\tx", "a=b"]
    assert {row["value"] for row in cells} == {"-0.5"}  # a number is never a formula


def test_numbers_that_are_not_finite_are_told_in_csv_and_null_elsewhere(
    people: People, model: GlobalModel, training: Training
) -> None:
    for value in ("nan", "inf", "-inf"):
        Metric.objects.create(model=model, key="loss", value_special=value)
    assert [row["value"] for row in table(content_of(get(people.actor.client, training, "csv")))] == [
        "nan",
        "inf",
        "-inf",
    ]
    lines = content_of(get(people.actor.client, training, "jsonl")).splitlines()
    assert [json.loads(line)["value"] for line in lines] == [None] * 3


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_many_metrics_cost_as_many_statements_as_few_and_wait_on_the_disk(
    people: People,
    model: GlobalModel,
    training: Training,
    format: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spooling, "BYTES_IN_MEMORY", 1000)
    counts = []
    for number in (1, 2500):
        Metric.objects.bulk_create(
            Metric(model=model, key="loss", value_float=1.0, step=step) for step in range(number)
        )
        with CaptureQueriesContext(
            connection,
        ) as statements:
            answer = get(people.actor.client, training, format)
            text = content_of(answer)
        counts.append(len(statements))
    assert answer.streaming
    assert len(text.splitlines()) == 2501 + (format == "csv")
    assert counts[0] == counts[1]
