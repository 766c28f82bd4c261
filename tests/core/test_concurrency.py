"""Requests that meet in the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from fl_server_core.models import Training, User
from fl_server_core.models.model import copy_files
from fl_server_core.services import trainings
from fl_server_core.services.accounts import delete_user
from fl_server_core.services.users import register_user
from tests.factories import make_model, make_training, make_user, scripted_linear

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
    for _ in range(10):
        anna, ben = make_user(), make_user()
        for _number in range(3):
            make_training(anna, [ben])
            make_training(ben, [anna])
        at_once(lambda anna=anna: delete_user(user=anna), lambda ben=ben: delete_user(user=ben))  # type: ignore[misc]
    assert not User.objects.exists()
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


def test_the_files_of_a_copy_are_written_before_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = []

    def copy(model: Any) -> dict[str, str]:
        copied.append(connection.in_atomic_block)
        return copy_files(model)

    monkeypatch.setattr(trainings, "copy_files", copy)
    monkeypatch.setattr("fl_server_core.models.model.copy_files", copy)
    actor = make_user()
    model = make_model(actor)
    first, second = (
        trainings.create_training(
            actor=actor, model_id=model.pk, target_num_updates=1, metric_names=[], aggregation_method="FedAvg"
        )
        for _ in range(2)
    )
    assert copied == [False]
    assert second.model_id != first.model_id
    assert body_of(second) == body_of(first)


def test_a_copy_of_a_model_whose_round_closes_meanwhile_is_that_of_the_newer_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    actor = make_user()
    model = make_model(actor)
    make_training(actor, [actor], model)
    closed: list[int] = []

    def close_first(found: Any) -> dict[str, str]:
        if not closed:
            closed.append(found.round)
            found.weights_file.storage.delete(found.weights_file.name)
            newer = type(found).objects.get(pk=found.pk)
            newer.weights, newer.round = scripted_linear(3.0), 1
            newer.save()
        return copy_files(found)

    monkeypatch.setattr(trainings, "copy_files", close_first)
    copy = trainings.create_training(
        actor=actor, model_id=model.pk, target_num_updates=1, metric_names=[], aggregation_method="FedAvg"
    )
    assert closed == [0]
    assert copy.model.round == 1
    assert body_of(copy) == scripted_linear(3.0)


def body_of(training: Training) -> bytes:
    with training.model.weights_file.open("rb") as file:
        return bytes(file.read())
