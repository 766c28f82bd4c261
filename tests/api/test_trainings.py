from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fl_server_core.models import GlobalModel, Training
from tests.api.conftest import People
from tests.builders.files import scripted_linear
from tests.builders.rounds import set_model_round
from tests.builders.rows import (
    make_mean_model,
    make_metric,
    make_model,
    make_submission,
    make_training,
    make_update,
    make_user,
)
from tests.builders.storage import file_name_of, stored_files

UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"
KEYS = {
    "id", "model", "actor", "participants", "state", "target_num_updates", "last_update", "uncertainty_method",
    "aggregation_method", "options", "locked",
}  # fmt: skip
FORBIDDEN = {"detail": "You do not have permission to perform this action."}


def wish(model: GlobalModel, **changes: Any) -> dict[str, Any]:
    values = {
        "model_id": str(model.pk),
        "target_num_updates": 2,
        "metric_names": ["accuracy"],
        "aggregation_method": "FedAvg",
        "uncertainty_method": "NONE",
        **changes,
    }
    return {key: value for key, value in values.items() if value is not None}


def create(client: Any, model: GlobalModel, **changes: Any) -> Any:
    body = json.dumps(wish(model, **changes))
    return client.post("/api/trainings/", body, content_type="application/json")


def test_an_owner_creates_a_training_of_its_model(people: People, model: GlobalModel) -> None:
    answer = create(people.actor.client, model, clients=[people.participant.id], options={"lr": 0.1})
    training = Training.objects.get()
    assert (answer.status_code, answer.json()) == (
        201,
        {"detail": "Training created successfully!", "training_id": str(training.pk)},
    )
    body = people.actor.client.get(f"/api/trainings/{training.pk}/").json()
    assert datetime.fromisoformat(body.pop("last_update")).tzname() in ("UTC+01:00", "UTC+02:00")  # Berlin
    assert body == {
        "id": str(training.pk),
        "model": str(model.pk),
        "actor": people.actor.id,
        "participants": [people.participant.id],
        "state": "I",
        "target_num_updates": 2,
        "uncertainty_method": "NONE",
        "aggregation_method": "FedAvg",
        "options": {"lr": 0.1},
        "locked": False,
        "local_models_arrived": 0,
        "local_models_expected": 1,
    }
    assert training.metric_names == ["accuracy"]


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "x", "multipart/form-data"]
)
def test_the_body_is_json_whatever_the_content_type_says(people: People, model: GlobalModel, content_type: str) -> None:
    body = json.dumps(wish(model))
    answer = people.actor.client.generic("POST", "/api/trainings/", body, content_type=content_type)
    assert answer.status_code == 201


def test_a_second_training_of_a_model_gets_a_copy_without_its_metrics(people: People, model: GlobalModel) -> None:
    set_model_round(model, 3)
    make_metric(model, reporter=people.actor.user)
    create(people.actor.client, model)
    again = create(people.actor.client, model)
    copy = GlobalModel.objects.get(training=again.json()["training_id"])
    assert copy.pk != model.pk
    assert (copy.weights, copy.round, copy.metrics.count()) == (scripted_linear(), 3, 0)
    assert file_name_of(copy) == file_name_of(model)  # files never change: both models name the same


def test_a_daisy_chained_training_needs_period_times_as_many_rounds(people: People, model: GlobalModel) -> None:
    answer = create(people.actor.client, model, aggregation_method="FedDC", options={"daisy_chain_period": 3})
    assert answer.status_code == 201
    assert Training.objects.get().target_num_updates == 6


def test_one_trains_ones_own_models_only(people: People, model: GlobalModel) -> None:
    answer = create(people.outsider.client, model)
    assert (answer.status_code, answer.json()) == (403, FORBIDDEN)
    assert create(people.nobody, model).status_code == 401
    assert not Training.objects.exists()


@pytest.mark.parametrize("identifier", [UNKNOWN, "not-an-id", 5])
def test_no_such_model_is_a_400_that_names_the_id(people: People, model: GlobalModel, identifier: Any) -> None:
    answer = create(people.actor.client, model, model_id=identifier)
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Model {identifier} not found."})


@pytest.mark.parametrize("clients", [[UNKNOWN], ["not-an-id"], ["twice", "twice"]])
def test_unknown_and_repeated_clients_are_not_all_found(people: People, model: GlobalModel, clients: list[str]) -> None:
    named = [people.participant.id if client == "twice" else client for client in clients]
    answer = create(people.actor.client, model, clients=named)
    assert (answer.status_code, answer.json()) == (400, {"detail": "Not all provided users were found!"})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model_id": None}, "model_id"),
        ({"model_id": "x" * 300}, "model_id"),
        ({"model_id": "\0"}, "model_id"),
        ({"model_id": ["a"]}, "model_id"),
        ({"target_num_updates": None}, "target_num_updates"),
        ({"target_num_updates": 0}, "target_num_updates"),
        ({"target_num_updates": 2**31}, "target_num_updates"),
        ({"target_num_updates": 10**400}, "target_num_updates"),
        ({"target_num_updates": 1.5}, "target_num_updates"),
        ({"target_num_updates": True}, "target_num_updates"),
        ({"metric_names": None}, "metric_names"),
        ({"metric_names": "accuracy"}, "metric_names"),
        ({"metric_names": [{}]}, "metric_names"),
        ({"metric_names": ["\0"]}, "metric_names"),
        ({"metric_names": ["x" * 33]}, "metric_names"),
        ({"metric_names": ["\ud800"]}, "metric_names"),
        ({"aggregation_method": None}, "aggregation_method"),
        ({"aggregation_method": "INVALID"}, "aggregation_method"),
        ({"aggregation_method": "\ud800"}, "aggregation_method"),
        ({"aggregation_method": [[]]}, "aggregation_method"),
        ({"uncertainty_method": "INVALID"}, "uncertainty_method"),
        ({"options": []}, "options"),
        ({"options": "x"}, "options"),
        ({"options": {"lr": "\0"}}, "options"),
        ({"options": {"\0": 1}}, "options"),
        ({"options": {"lr": "\ud800"}}, "options"),
        ({"options": {"skip_model_tests": "yes"}}, "options"),
        ({"options": {"min_updates": 0.5}}, "options"),
        ({"options": {"round_deadline": -1}}, "options"),
        ({"options": {"uncertainty": 1}}, "options"),
        ({"clients": "x"}, "clients"),
        ({"clients": [None]}, "clients"),
        ({"clients": ["\0"]}, "clients"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(
    people: People, model: GlobalModel, changes: dict[str, Any], field: str
) -> None:
    answer = create(people.actor.client, model, **changes)
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert not Training.objects.exists()


def test_an_infinite_number_in_the_options_is_refused(people: People, model: GlobalModel) -> None:
    body = json.dumps(wish(model, options={"lr": "X"})).replace('"X"', "1e999")
    answer = people.actor.client.post("/api/trainings/", body, content_type="application/json")
    assert (answer.status_code, answer.json()) == (400, {"options": ["Use finite numbers only."]})


def test_a_target_that_outgrows_its_column_with_the_period_is_refused(people: People, model: GlobalModel) -> None:
    answer = create(
        people.actor.client,
        model,
        target_num_updates=2**31 - 1,
        aggregation_method="FedDC",
        options={"daisy_chain_period": 1000},
    )
    assert answer.status_code == 400
    assert not Training.objects.exists()


@pytest.mark.parametrize("method", ["SWAG", "ENSEMBLE"])
def test_a_method_that_needs_another_kind_of_model_says_so(people: People, model: GlobalModel, method: str) -> None:
    before = stored_files()
    answer = create(people.actor.client, model, uncertainty_method=method)
    assert (answer.status_code, list(answer.json())) == (400, ["detail"])
    assert (Training.objects.count(), stored_files()) == (0, before)


def test_an_update_is_not_trained_on(people: People, model: GlobalModel) -> None:
    update = make_update(model, people.actor.user)
    answer = create(people.actor.client, model, model_id=str(update.pk))
    assert (answer.status_code, list(answer.json())) == (400, ["detail"])


def test_a_training_on_a_mean_model_may_be_made_for_its_ensemble(people: People, model: GlobalModel) -> None:
    mean = make_mean_model(people.actor.user, [model])
    assert create(people.actor.client, mean, uncertainty_method="ENSEMBLE").status_code == 201


def test_the_lists_hold_the_trainings_of_an_actor_and_those_of_all_who_take_part(
    people: People, training: Training
) -> None:
    make_training(people.outsider.user)
    for name, acted, taken_part in (("actor", 1, 1), ("participant", 0, 1), ("outsider", 1, 1)):
        client = getattr(people, name).client
        assert len(client.get("/api/trainings/").json()) == acted, name
        assert len(client.get("/api/users/trainings/").json()) == taken_part, name
    row = people.participant.client.get("/api/users/trainings/").json()[0]
    assert (set(row), row["id"]) == (KEYS, str(training.pk))
    assert people.nobody.get("/api/trainings/").status_code == 401


def test_a_training_is_read_by_those_who_take_part(people: People, training: Training) -> None:
    path = f"/api/trainings/{training.pk}/"
    for reader in (people.actor, people.participant, people.staff):
        assert set(reader.client.get(path).json()) == KEYS | {"local_models_arrived", "local_models_expected"}
    refused = people.outsider.client.get(path)
    assert (refused.status_code, refused.json()) == (403, FORBIDDEN)
    assert people.nobody.get(path).status_code == 401


def test_arrived_are_the_updates_of_the_current_round(people: People, training: Training, model: GlobalModel) -> None:
    person = people.participant.user
    make_submission(training, person, update=make_update(model, person, round=0))
    set_model_round(model, 1)
    body = people.actor.client.get(f"/api/trainings/{training.pk}/").json()
    assert (body["local_models_arrived"], body["local_models_expected"]) == (0, 1)
    make_submission(training, person, round=1, update=make_update(model, person, round=1))
    body = people.actor.client.get(f"/api/trainings/{training.pk}/").json()
    assert (body["local_models_arrived"], body["local_models_expected"]) == (1, 1)


@pytest.mark.parametrize("identifier", [UNKNOWN, "not-an-id"])
@pytest.mark.parametrize("method", ["get", "delete"])
def test_no_such_training_is_a_400_that_names_the_id(people: People, identifier: str, method: str) -> None:
    answer = getattr(people.actor.client, method)(f"/api/trainings/{identifier}/")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Training {identifier} not found."})


def test_the_actor_removes_a_training_and_the_model_and_its_updates_stay(
    people: People, training: Training, model: GlobalModel
) -> None:
    make_update(model, people.participant.user)
    path = f"/api/trainings/{training.pk}/"
    for other in (people.participant, people.outsider):
        refused = other.client.delete(path)
        assert (refused.status_code, refused.json()) == (403, {"detail": "You are not the owner the training."})
    answer = people.actor.client.delete(path)
    assert (answer.status_code, answer.json()) == (200, {"detail": "Training removed!"})
    assert (Training.objects.count(), GlobalModel.objects.count(), model.local_models.count()) == (0, 1, 1)


@pytest.mark.parametrize("path", ["/api/trainings/", "/api/trainings/{}/", "/api/users/trainings/"])
def test_reading_takes_the_same_statements_for_thirty_participants_as_for_three(people: People, path: str) -> None:
    counts = []
    for number in (3, 30):
        Training.objects.all().delete()
        for _ in range(number):
            training = make_training(
                people.actor.user, [make_user() for _ in range(number)], make_model(people.actor.user)
            )
        with CaptureQueriesContext(connection) as statements:
            assert people.actor.client.get(path.format(training.pk)).status_code == 200
        counts.append(len(statements))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("options", {"note": "x" * 70_000}),
        ("metric_names", ["loss"] * 1001),
        ("metric_names", ["x" * 257]),
    ],
)
def test_what_would_bloat_every_list_is_a_400_by_field(
    people: People, model: GlobalModel, field: str, value: Any
) -> None:
    wish = {"model_id": str(model.pk), "target_num_updates": 1, "metric_names": [], "aggregation_method": "FedAvg"}
    answer = people.actor.client.post("/api/trainings/", {**wish, field: value}, format="json")
    assert (answer.status_code, list(answer.json())) == (400, [field])
