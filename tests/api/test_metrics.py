from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode

import pytest

from fl_server_core.models import Event, GlobalModel, Metric, Training
from tests.api.conftest import People
from tests.builders.files import uploaded
from tests.builders.rounds import set_model_round
from tests.builders.rows import make_metric, make_update


def report(client: Any, model_id: object, format: str = "multipart", **fields: Any) -> Any:
    path = f"/api/models/{model_id}/metrics/"
    if format == "urlencoded":
        return client.post(path, urlencode(fields, doseq=True), content_type="application/x-www-form-urlencoded")
    return client.post(path, fields, format=format)


@pytest.mark.parametrize("format", ["multipart", "urlencoded", "json"])
def test_reported_metrics_are_kept_and_read_back(people: People, model: GlobalModel, format: str) -> None:
    answer = report(
        people.actor.client, model.pk, format, metric_names=["loss", "note"], metric_values=["0.5", "ünïcode"]
    )
    assert (answer.status_code, answer.json()) == (
        201,
        {"detail": "Model Metrics Upload Accepted", "model_id": str(model.pk)},
    )
    rows = people.actor.client.get(f"/api/models/{model.pk}/metrics/").json()
    number, text = Metric.objects.order_by("id")
    common = {"model": str(model.pk), "identifier": None, "step": 0, "reporter": people.actor.id}
    assert rows == [
        {"id": number.pk, "key": "loss", "value_float": 0.5, "value_binary": None, **common},
        {
            "id": text.pk,
            "key": "note",
            "value_float": None,
            "value_binary": base64.b64encode("ünïcode".encode()).decode(),
            **common,
        },
    ]


def test_a_value_may_be_a_file(people: People, model: GlobalModel) -> None:
    content = b"\x89PNG\0\xff"
    answer = report(people.actor.client, model.pk, metric_names=["plot"], metric_values=[uploaded(content)])
    assert answer.status_code == 201
    assert Metric.objects.get().value == content


def test_the_step_is_the_models_round(people: People, model: GlobalModel) -> None:
    set_model_round(model, 4)
    report(people.actor.client, model.pk, metric_names=["loss"], metric_values=["1"])
    assert Metric.objects.get().step == 4


@pytest.mark.parametrize(
    ("value", "kept"), [("nan", "nan"), ("NaN", "nan"), ("inf", "inf"), ("-Infinity", "-inf"), ("1e999", "inf")]
)
def test_a_number_that_is_not_finite_is_kept_and_is_null_in_json(
    people: People, model: GlobalModel, value: str, kept: str
) -> None:
    assert report(people.actor.client, model.pk, metric_names=["loss"], metric_values=[value]).status_code == 201
    metric = Metric.objects.get()
    assert isinstance(metric.value, float)
    assert (str(metric.value), metric.is_float(), metric.is_binary()) == (kept, True, False)
    answer = people.actor.client.get(f"/api/models/{model.pk}/metrics/")
    row = answer.json()[0]
    assert (answer.status_code, row["value_float"], row["value_binary"]) == (200, None, None)


def test_another_value_leaves_nothing_of_the_earlier_one(model: GlobalModel) -> None:
    metric = Metric(model=model, key="loss")
    for value in (1.5, float("inf"), b"bytes", float("-inf"), 2, None):
        metric.value = value
        metric.save()
        metric.refresh_from_db()
        assert metric.value == value
        assert metric.is_float() is isinstance(value, (int, float))
    metric.value = float("nan")
    del metric.value
    assert metric.value is None
    assert not metric.is_float()
    assert not metric.is_binary()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Metric names or values are missing"),
        ({"metric_names": ["loss"]}, "Metric names or values are missing"),
        ({"metric_values": ["1"]}, "Metric names or values are missing"),
        (
            {"metric_names": ["loss", "acc"], "metric_values": ["1"]},
            "Metric names and values must have the same length",
        ),
    ],
)
def test_names_and_values_come_in_pairs(
    people: People, model: GlobalModel, fields: dict[str, Any], sentence: str
) -> None:
    answer = report(people.actor.client, model.pk, **fields)
    assert (answer.status_code, answer.json()) == (400, {"detail": sentence})


@pytest.mark.parametrize(
    ("field", "names", "values"),
    [
        ("metric_names", ["x" * 33], ["1"]),
        ("metric_names", ["nul\0"], ["1"]),
        ("metric_names", [""], ["1"]),
        ("metric_names", [uploaded(b"x")], ["1"]),
        ("metric_values", ["loss"], [uploaded(b"x" * (1024 * 1024 + 1))]),
        ("metric_values", ["loss"], ["x" * (1024 * 1024 + 1)]),
        ("metric_values", ["loss"] * 5, ["x" * 1024 * 1024] * 5),
        ("metric_values", ["loss"], ["1"] * 1001),
        ("metric_names", ["loss"] * 1001, ["1"]),
    ],
)
def test_what_cannot_be_kept_is_refused_as_a_whole(
    people: People, model: GlobalModel, field: str, names: list[Any], values: list[Any]
) -> None:
    answer = report(people.actor.client, model.pk, metric_names=["ok", *names], metric_values=["1", *values])
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert not Metric.objects.exists()


def test_metrics_are_for_those_who_may_read_the_model(people: People, model: GlobalModel, training: Training) -> None:
    for reader in (people.actor, people.participant, people.staff):
        assert report(reader.client, model.pk, metric_names=["a"], metric_values=["1"]).status_code == 201
        assert reader.client.get(f"/api/models/{model.pk}/metrics/").status_code == 200
    assert report(people.outsider.client, model.pk, metric_names=["a"], metric_values=["1"]).status_code == 403
    assert people.outsider.client.get(f"/api/models/{model.pk}/metrics/").status_code == 403
    assert report(people.nobody, model.pk, metric_names=["a"], metric_values=["1"]).status_code == 401
    assert people.nobody.get(f"/api/models/{model.pk}/metrics/").status_code == 401
    assert Metric.objects.count() == 3


def test_the_metrics_of_an_update_are_for_its_owner_and_the_actor(
    people: People, model: GlobalModel, training: Training
) -> None:
    update = make_update(model, people.participant.user)
    make_metric(update, reporter=people.participant.user)
    for name, status in (("participant", 200), ("actor", 200), ("outsider", 403)):
        assert getattr(people, name).client.get(f"/api/models/{update.pk}/metrics/").status_code == status, name


def test_everybody_takes_back_its_own_metrics_only(people: People, model: GlobalModel, running: Training) -> None:
    for person in (people.participant, people.actor):
        assert (
            report(person.client, model.pk, metric_names=["plot", "loss"], metric_values=["text", "1"]).status_code
            == 201
        )
    path = f"/api/models/{model.pk}/metrics/"
    assert [one.delete(path).status_code for one in (people.nobody, people.outsider.client)] == [401, 403]
    answer = people.participant.client.delete(path)
    assert (answer.status_code, answer.json()) == (200, {"detail": "Metrics removed!"})
    assert set(Metric.objects.values_list("reporter", flat=True)) == {people.actor.user.pk}
    event = Event.objects.get(kind="metrics_deleted")
    assert (event.author, event.training, event.figures) == (
        people.participant.user, running, {"keys": ["loss", "plot"], "metrics": 2},
    )  # fmt: skip


def test_who_has_left_may_still_take_back_what_it_has_reported(
    people: People, model: GlobalModel, running: Training
) -> None:
    assert report(people.participant.client, model.pk, metric_names=["plot"], metric_values=["text"]).status_code == 201
    running.participants.clear()
    path = f"/api/models/{model.pk}/metrics/"
    assert people.participant.client.get(path).status_code == 403
    assert [people.participant.client.delete(path).status_code for _ in range(2)] == [200, 403]
    assert not Metric.objects.exists()
