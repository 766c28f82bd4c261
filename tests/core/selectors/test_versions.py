from __future__ import annotations

import math
from typing import Any

import pytest

from fl_server_core.exceptions import Gone, InvalidRequest
from fl_server_core.models import GlobalModel, ModelVersion, Round, Training, User
from fl_server_core.selectors.versions import find_version, versions_of
from tests.builders.files import scripted_linear
from tests.builders.rows import (
    make_mean_model,
    make_metric,
    make_model,
    make_round,
    make_training,
    make_update,
    make_user,
)
from tests.builders.storage import make_newer

pytestmark = pytest.mark.django_db


@pytest.fixture
def training(people: list[User]) -> Training:
    return make_training(make_user("actor"), people)


@pytest.fixture
def model(training: Training) -> GlobalModel:
    return GlobalModel.objects.get(pk=training.model_id)


@pytest.fixture
def tested(training: Training) -> Round:
    return make_round(training, "test")


def means(model: GlobalModel) -> list[dict[str, float]]:
    return [version["metrics"] for version in versions_of(model)]


def measure(model: GlobalModel, reporter: User, value: float | bytes, test_round: Round | None, **fields: Any) -> None:
    values = {"version": model.current_version, "test_round": test_round, **fields}
    make_metric(model, values.pop("key", "accuracy"), value, reporter=reporter, **values)


def test_each_participant_s_last_value_makes_the_mean(model: GlobalModel, people: list[User], tested: Round) -> None:
    for value in (100.0, 1.0):
        measure(model, people[0], value, tested)
    measure(model, people[1], 2.0, tested)
    measure(model, people[1], 9.0, tested, key="loss")
    assert means(model) == [{"accuracy": 1.5, "loss": 9.0}]


def test_a_value_that_is_no_number_makes_a_mean_that_is_none(
    model: GlobalModel, people: list[User], tested: Round
) -> None:
    measure(model, people[0], 1.0, tested)
    measure(model, people[1], 1.0, tested)
    nan = model.metrics.last()
    assert nan is not None
    nan.value = math.nan
    nan.save()
    (found,) = means(model)
    assert math.isnan(found["accuracy"])


def test_bytes_and_what_no_test_round_asked_for_are_left_out(
    model: GlobalModel, people: list[User], tested: Round
) -> None:
    measure(model, people[0], 1.0, None)
    measure(model, people[0], b"picture", tested, key="image")
    measure(model, people[0], 1.0, tested, version=None)
    assert means(model) == [{}]


def test_each_version_has_the_metrics_of_its_own(model: GlobalModel, people: list[User], tested: Round) -> None:
    measure(model, people[0], 1.0, tested)
    make_newer(model, scripted_linear(2.0))
    now = GlobalModel.objects.get(pk=model.pk)
    measure(now, people[0], 3.0, tested)
    assert means(now) == [{"accuracy": 1.0}, {"accuracy": 3.0}]


def test_versions_say_what_they_are_oldest_first(model: GlobalModel) -> None:
    make_newer(model, b"second")
    ModelVersion.objects.filter(number=0).update(weights_file="", name="start", pinned=True)
    first, second = versions_of(model)  # of a row that was read before
    assert (first["version"], first["available"], first["is_current"]) == (0, False, False)
    assert (first["name"], first["pinned"]) == ("start", True)
    assert (second["version"], second["available"], second["is_current"]) == (1, True, True)
    # echo -n second | sha256sum
    assert second["sha256"] == "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4"
    assert second["size"] == 6


def test_an_update_and_a_mean_have_no_versions(model: GlobalModel, people: list[User]) -> None:
    assert versions_of(make_update(model, people[0])) == []
    mean = make_mean_model(people[0], [model])
    assert versions_of(mean) == []
    assert find_version(mean) is None


def test_the_current_version_is_that_of_now_and_an_older_one_is_found_by_its_number(model: GlobalModel) -> None:
    make_newer(model, scripted_linear(2.0))
    newest, first = find_version(model), find_version(model, 0)
    assert newest is not None
    assert first is not None
    assert (newest.number, first.number) == (1, 0)


def test_a_version_that_is_no_longer_kept_is_gone(model: GlobalModel) -> None:
    make_newer(model, scripted_linear(2.0))
    ModelVersion.objects.filter(number=0).update(weights_file="")
    with pytest.raises(Gone, match="Version 0"):
        find_version(model, 0)
    other = make_model(make_user())
    with pytest.raises(InvalidRequest, match="no version 1"):
        find_version(other, 1)
