"""Requests that meet in the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import connection

from fl_server_core.models import GlobalModel, ModelVersion, Training, User
from fl_server_core.services import trainings
from fl_server_core.services.accounts import delete_user
from fl_server_core.services.users import register_user
from tests.builders.clients import make_operator
from tests.builders.files import scripted_linear
from tests.builders.rows import make_model, make_training, make_user
from tests.builders.storage import file_name_of, make_newer, stored_files, weight_files

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*actions: Callable[[], Any]) -> None:
    """Run each in a thread of its own, from the same moment; what one raises is raised."""
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], Any]) -> None:
        try:
            start.wait(30)
            action()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(actions)) as threads:
        for done in [threads.submit(run, action) for action in actions]:
            done.result()


def test_two_accounts_that_take_part_in_each_others_trainings_are_deleted_at_the_same_time() -> None:
    operator = make_operator()
    for _ in range(10):
        anna, ben = make_user(), make_user()
        for _number in range(3):
            make_training(anna, [ben])
            make_training(ben, [anna])
        at_once(partial(delete_user, user=anna, author=operator), partial(delete_user, user=ben, author=operator))
    assert list(User.objects.all()) == [operator]
    assert not Training.objects.exists()


def test_a_password_is_hashed_before_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []

    def make_password(password: str | None) -> str:
        hashed.append(connection.in_atomic_block)
        return f"hash of {password}"

    monkeypatch.setattr("django.contrib.auth.base_user.make_password", make_password)
    monkeypatch.setattr("django.contrib.auth.models.make_password", make_password)
    user = register_user(username="anna", password="a-good-password")
    user.refresh_from_db()
    assert (hashed, user.password) == ([False], "hash of a-good-password")


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
    assert weight_files() == {file_name_of(model)}
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

    def close_first(found: Any, *_method: Any) -> None:
        make_newer(found, scripted_linear(3.0), round=1)

    monkeypatch.setattr(trainings, "_require_trainable", close_first)
    copy = create_training(actor, model)
    assert copy.model.round == 1
    assert copy.model.weights == scripted_linear(3.0)
    assert list(ModelVersion.objects.filter(model_id=copy.model_id).values_list("number", flat=True)) == [0]
