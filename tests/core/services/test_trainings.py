"""Requests that meet in the database."""

from __future__ import annotations

from typing import Any

import pytest

from fl_server_core.models import GlobalModel, Training, User
from fl_server_core.services import trainings
from tests.builders.files import scripted_linear
from tests.builders.rows import make_model, make_training, make_user
from tests.builders.storage import file_name_of, make_newer, stored_files

pytestmark = pytest.mark.django_db(transaction=True)


def create_training(actor: User, model: GlobalModel) -> Training:
    return trainings.create_training(
        actor=actor, model_id=model.pk, target_num_updates=1, metric_names=[], aggregation_method="FedAvg"
    )


def test_a_copy_names_the_files_of_its_model_and_keeps_them_when_that_is_deleted() -> None:
    before = stored_files()
    actor = make_user()
    model = make_model(actor)
    first, second = create_training(actor, model), create_training(actor, model)
    assert second.model_id != first.model_id
    assert file_name_of(second.model) == file_name_of(first.model)
    first.model.delete()
    assert second.model.weights == scripted_linear()
    second.model.delete()
    assert stored_files() == before


def test_a_copy_of_a_model_whose_round_closes_meanwhile_is_that_of_the_newer_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    actor = make_user()
    model = make_model(actor)
    make_training(actor, [actor], model)

    def close_first(found: Any) -> None:
        make_newer(found, scripted_linear(3.0), round=1)

    monkeypatch.setattr(trainings, "_require_trainable", close_first)
    copy = create_training(actor, model)
    assert copy.model.round == 1
    assert copy.model.weights == scripted_linear(3.0)
    assert [version.number for version in copy.model.versions.all()] == [0]
