"""Rows that are deleted while a request reads them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from fl_server_core.models import GlobalModel, LocalModel, ModelVersion, Training
from fl_server_core.selectors.trainings import lock_training
from tests.api.conftest import People
from tests.builders.files import scripted_linear, uploaded
from tests.builders.rows import make_model, make_update


def leave_a_bare_row(model: Any) -> None:
    """A model is read in two statements. Between them, its row in the table of its kind was deleted."""
    ModelVersion.objects.filter(model_id=model.pk).delete()
    with connection.cursor() as cursor:
        identifier = model.pk.hex if connection.vendor == "sqlite" else model.pk
        cursor.execute(f"DELETE FROM {type(model)._meta.db_table} WHERE model_ptr_id = %s", [identifier])


@pytest.fixture
def vanished(people: People, running: Training) -> LocalModel:
    base = GlobalModel.objects.get(pk=running.model_id)
    update = make_update(base, people.participant.user)
    leave_a_bare_row(update)
    return update


def test_a_list_is_that_of_the_others(people: People, running: Training, vanished: LocalModel) -> None:
    answer = people.participant.client.get("/api/models/")
    assert (answer.status_code, [row["id"] for row in answer.json()]) == (200, [str(running.model_id)])


@pytest.mark.parametrize("path", ["", "metadata/", "metrics/"])
def test_it_is_not_found(people: People, vanished: LocalModel, path: str) -> None:
    answer = people.participant.client.get(f"/api/models/{vanished.pk}/{path}")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Model {vanished.pk} not found."})


def test_an_upload_to_it_is_for_no_model(people: People, vanished: LocalModel) -> None:
    fields = {"round": 0, "sample_size": 1, "model_file": uploaded(scripted_linear())}
    answer = people.participant.client.post(f"/api/models/{vanished.pk}/", fields, format="multipart")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"GlobalModel {vanished.pk} not found."})


def test_an_update_that_a_closing_round_removes_while_it_is_deleted_is_not_found(
    people: People, running: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = make_update(GlobalModel.objects.get(pk=running.model_id), people.participant.user)

    def wait_for_the_lock(training_id: UUID) -> Training | None:
        LocalModel.objects.all().delete()
        return lock_training(training_id)

    monkeypatch.setattr("fl_server_core.services.models.lock_training", wait_for_the_lock)
    answer = people.participant.client.delete(f"/api/models/{update.pk}/")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Model {update.pk} not found."})


def test_an_inference_of_it_finds_nothing(people: People) -> None:
    model = make_model(people.actor.user)
    model.versions.all().delete()
    leave_a_bare_row(model)
    answer = people.actor.client.post(
        "/api/inference/", {"model_id": str(model.pk), "model_input": [[1.0, 2.0, 3.0]]}, format="json"
    )
    assert answer.status_code == 400
    assert "not found" in answer.content.decode()


def test_metrics_of_a_model_that_is_deleted_before_they_are_written_are_refused(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(people.actor.user)

    def look(model_id: UUID) -> Any:
        found = GlobalModel.objects.get(pk=model_id)
        GlobalModel.objects.get(pk=model_id).delete()
        return found

    monkeypatch.setattr("fl_server_core.services.metrics.get_model", look)
    fields = {"metric_names": "loss", "metric_values": "1"}
    answer = people.actor.client.post(f"/api/models/{model.pk}/metrics/", fields, format="multipart")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Model {model.pk} not found."})


def test_an_update_of_a_model_that_is_deleted_while_it_is_checked_is_refused(
    people: People, running: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    look: Any = GlobalModel.weights_file

    def look_later(model: Any) -> Any:
        GlobalModel.objects.filter(pk=model.pk).delete()
        return look.fget(model)

    monkeypatch.setattr(GlobalModel, "weights_file", property(look_later))
    fields = {"round": 0, "sample_size": 1, "model_file": uploaded(scripted_linear())}
    answer = people.participant.client.post(f"/api/models/{running.model_id}/", fields, format="multipart")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Model {running.model_id} not found."})
