"""Refusals of what an account may not own or do, as clients get them."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from fl_server_core.long_requests import inference_of, poll_of
from fl_server_core.models import GlobalModel, LocalModel, Metric, Training
from fl_server_core.services import budgets
from fl_server_core.services.trainings import start_training
from tests.api.conftest import People, Person
from tests.builders.files import scripted_linear, uploaded
from tests.builders.rows import make_model

SIZE = len(scripted_linear())


def upload(person: Person) -> Any:
    values = {"name": "linear", "description": "", "model_file": uploaded(scripted_linear())}
    return person.client.post("/api/models/", values)


@pytest.fixture
def bytes_for_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "MEGABYTE", 1)


def test_an_owner_of_as_many_models_as_allowed_gets_a_507_and_others_do_not(people: People, settings: Settings) -> None:
    settings.FL_MAX_MODELS = 1
    assert upload(people.actor).status_code == 201
    refusal = upload(people.actor)
    assert (refusal.status_code, refusal.json()) == (
        507,
        {
            "detail": "You have 1 models, and an account may have 1 on this server (FL_MAX_MODELS). "
            "Delete models that you no longer need, or ask the server's staff for more."
        },
    )
    assert upload(people.outsider).status_code == 201


def test_an_actor_of_as_many_trainings_as_allowed_gets_a_507(people: People, settings: Settings) -> None:
    settings.FL_MAX_TRAININGS = 1
    wish = {"target_num_updates": 1, "metric_names": [], "aggregation_method": "FedAvg"}
    answers = [
        people.actor.client.post(
            "/api/trainings/", {**wish, "model_id": str(make_model(people.actor.user).pk)}, format="json"
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 507]
    assert "(FL_MAX_TRAININGS)" in answers[1].json()["detail"]
    assert Training.objects.count() == 1


def test_a_file_larger_than_the_whole_budget_is_a_413(
    people: People, settings: Settings, bytes_for_megabytes: None
) -> None:
    settings.FL_MAX_STORAGE_MB = SIZE - 1
    answer = upload(people.actor)
    assert (answer.status_code, GlobalModel.objects.count()) == (413, 0)
    assert answer.json()["detail"].endswith("Send a smaller file, or ask the server's staff for more.")


def test_a_participant_without_room_gets_a_507_and_then_may_make_room(
    people: People, running: Training, settings: Settings, bytes_for_megabytes: None
) -> None:
    mine = make_model(people.participant.user)
    settings.FL_MAX_STORAGE_MB = SIZE * 3 // 2

    def send() -> Any:
        update = {"round": 0, "sample_size": 1, "model_file": uploaded(scripted_linear(2.0))}
        return people.participant.client.post(f"/api/models/{running.model_id}/", update)

    refusal = send()
    assert (refusal.status_code, LocalModel.objects.count()) == (507, 0)
    assert "send it again once there is room" in refusal.json()["detail"]
    assert people.participant.client.delete(f"/api/models/{mine.pk}/").status_code == 200
    assert send().status_code == 201


def test_metrics_of_bytes_count_for_the_one_who_reports_them(
    people: People, running: Training, settings: Settings, bytes_for_megabytes: None
) -> None:
    settings.FL_MAX_STORAGE_MB = 9
    path = f"/api/models/{running.model_id}/metrics/"
    answers = [
        people.participant.client.post(path, {"metric_names": ["a"], "metric_values": [value]})
        for value in ("x" * 10, "0.5")
    ]
    assert [answer.status_code for answer in answers] == [507, 201]
    assert [metric.value for metric in Metric.objects.all()] == [0.5]


def test_a_request_too_many_is_a_429_with_the_seconds_to_wait(people: People, settings: Settings) -> None:
    settings.FL_MAX_REQUESTS = 2
    answers = [people.actor.client.get("/api/users/myself/") for _ in range(5)]  # a minute may end meanwhile
    refusal = next(answer for answer in answers if answer.status_code == 429)
    assert answers[0].status_code == answers[1].status_code == 200
    assert 1 <= int(refusal.headers["Retry-After"]) <= 60
    assert refusal.json()["detail"].startswith("You have sent 2 requests in this minute")
    assert people.outsider.client.get("/api/users/myself/").status_code == 200
    assert people.nobody.get("/api/users/myself/").status_code == 401


def test_an_inference_too_many_is_a_429_and_metadata_then_lacks_its_statistics(
    people: People, model: GlobalModel, settings: Settings
) -> None:
    settings.FL_MAX_INFERENCES = 1
    question = {"model_id": str(model.pk), "model_input": [[1.0, 1.0, 1.0]]}
    with inference_of(people.actor.user):
        refusal = people.actor.client.post("/api/inference/", question, format="json")
        metadata = people.actor.client.get(f"/api/models/{model.pk}/metadata/")
    assert (refusal.status_code, refusal.headers["Retry-After"]) == (429, "5")
    assert (metadata.status_code, metadata.json()["stats"]) == (200, None)
    assert people.actor.client.post("/api/inference/", question, format="json").status_code == 200
    assert people.actor.client.get(f"/api/models/{model.pk}/metadata/").json()["stats"] is not None


def test_a_poll_too_many_is_a_429_unless_there_is_something_to_tell(
    people: People, training: Training, settings: Settings
) -> None:
    settings.FL_MAX_POLLS = 1
    with poll_of(people.participant.user, 1):
        assert people.participant.client.get("/api/notifications/?wait=1").status_code == 429
        assert people.participant.client.get("/api/notifications/").status_code == 200
        start_training(training_id=training.pk, user=people.actor.user)
        assert len(people.participant.client.get("/api/notifications/?wait=1").json()) == 2
