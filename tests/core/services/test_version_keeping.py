"""Old versions give up their files."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.storage import default_storage
from pytest_django import Settings

from fl_server_core.models import Training, User
from fl_server_core.services.versions import describe_version, restore_version
from tests.builders.rounds import mark_completed
from tests.builders.rows import make_running
from tests.builders.storage import content_of, stored_files
from tests.builders.versions import append, kept, model_of, version

pytestmark = pytest.mark.django_db


@pytest.fixture
def training(actor: User) -> Training:
    """A training, completed, of a model with version 0."""
    training = make_running(actor, [])
    mark_completed(training)
    return training


def test_the_first_and_the_last_few_are_kept(settings: Settings, training: Training) -> None:
    settings.FL_KEEP_VERSIONS = 3
    append(training, 6)
    assert kept(training) == [0, 4, 5, 6]
    assert [row.number for row in model_of(training).versions.all()] == list(range(7))  # the rows stay


@pytest.mark.parametrize(("wanted", "expected"), [(2, [0, 4, 5]), (4, [0, 2, 3, 4, 5])])
def test_the_training_s_options_come_before_the_setting(
    settings: Settings, training: Training, wanted: int, expected: list[int]
) -> None:
    settings.FL_KEEP_VERSIONS = 10
    training.options = {"keep_versions": wanted}
    append(training, 5)
    assert kept(training) == expected


@pytest.mark.parametrize("description", [{"name": "the good one"}, {"pinned": True}])
def test_one_with_a_name_or_a_pin_is_kept_until_that_is_taken_away(
    training: Training, description: dict[str, Any]
) -> None:
    training.options = {"keep_versions": 2}
    append(training)
    describe_version(model_id=training.model_id, number=1, user=training.actor, **description)
    append(training, 3)
    assert kept(training) == [0, 1, 3, 4]
    describe_version(model_id=training.model_id, number=1, user=training.actor, name="", pinned=False)
    append(training)
    assert kept(training) == [0, 4, 5]


@pytest.mark.django_db(transaction=True)
def test_what_is_given_up_leaves_the_storage_with_its_state(training: Training) -> None:
    before = stored_files()
    training.options = {"keep_versions": 2}
    append(training, 4)
    contents = sorted(content_of(name) for name in stored_files() - before)
    assert contents == [b"state 3", b"state 4", b"version 3", b"version 4"]
    assert version(training, 2).digest != ""  # what it was is still told


@pytest.mark.django_db(transaction=True)
def test_the_file_of_a_version_that_is_given_up_stays_while_a_restored_one_names_it(training: Training) -> None:
    training.options = {"keep_versions": 2}
    append(training)
    name = version(training, 1).weights.name
    append(training)
    assert restore_version(model_id=training.model_id, number=1, user=training.actor) == 3
    append(training)
    assert kept(training) == [0, 3, 4]
    assert default_storage.exists(name)
    append(training, 2)
    assert not default_storage.exists(name)
