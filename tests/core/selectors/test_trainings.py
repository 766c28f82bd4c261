from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models import GlobalModel, LocalModel, Training, User
from fl_server_core.selectors.trainings import (
    get_readable_training,
    get_steerable_training,
    get_training,
    latest_models_of_training,
    lock_steerable,
    lock_training,
    models_of_training,
    round_progress,
    trainings_of_actor,
    trainings_of_user,
)
from tests.builders.clients import make_staff
from tests.builders.rounds import set_model_round
from tests.builders.rows import make_submission, make_training, make_update, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def training(people: list[User]) -> Training:
    return make_training(make_user("actor"), people)


@pytest.fixture
def updates(training: Training, people: list[User]) -> list[LocalModel]:
    """Of p0 in round 0 and 1, of p1 in round 1."""
    base = GlobalModel.objects.get(pk=training.model_id)
    return [make_update(base, people[who], round=number) for who, number in ((0, 0), (0, 1), (1, 1))]


@pytest.mark.parametrize("get", [get_readable_training, get_steerable_training, lock_steerable])
def test_the_actor_and_operators_get_a_training_and_outsiders_do_not(
    get: Callable[[UUID, User], Training], training: Training
) -> None:
    for user in (training.actor, make_staff()):
        assert get(training.pk, user) == training
    with pytest.raises(NotAllowed):
        get(training.pk, make_user())
    with pytest.raises(EntityNotFound):
        get(uuid4(), training.actor)


def test_a_participant_reads_and_does_not_steer(training: Training, people: list[User]) -> None:
    assert get_readable_training(training.pk, people[0]) == training
    for get in (get_steerable_training, lock_steerable):
        with pytest.raises(NotAllowed, match="Not yours"):
            get(training.pk, people[0], "Not yours")


def test_a_training_that_is_gone_cannot_be_locked() -> None:
    unknown = uuid4()
    assert lock_training(unknown) is None
    with pytest.raises(EntityNotFound, match=f"Training {unknown} not found."):
        get_training(unknown)


def test_each_training_is_listed_once_whatever_a_user_is_in_it(training: Training, people: list[User]) -> None:
    training.participants.add(training.actor)
    other = make_training(people[0])
    assert list(trainings_of_user(training.actor)) == list(trainings_of_actor(training.actor)) == [training]
    assert list(trainings_of_user(people[0])) == [training, other]
    assert list(trainings_of_actor(people[0])) == [other]


def test_progress_counts_the_updates_of_the_training_s_present_round(training: Training, people: list[User]) -> None:
    base = GlobalModel.objects.get()
    make_update(base, people[0])  # of an earlier training of the model
    for person, number in [(people[0], 0), (people[0], 1), (people[1], 1)]:
        make_submission(training, person, round=number, update=make_update(base, person, round=number))
    assert round_progress(training) == (1, 2)
    set_model_round(base, 1)
    assert round_progress(training) == (2, 2)


def test_a_training_s_models_are_those_that_the_reader_may_read(
    training: Training, people: list[User], updates: list[LocalModel]
) -> None:
    base = training.model
    assert models_of_training(training.pk, training.actor) == [base, *updates]
    assert models_of_training(training.pk, people[0]) == [base, *updates[:2]]
    assert models_of_training(training.pk, make_user()) == []
    assert models_of_training(uuid4(), training.actor) == []
    with pytest.raises(EntityNotFound):
        models_of_training(UUID(int=0), training.actor)


def test_the_latest_are_each_participant_s_newest(
    training: Training, people: list[User], updates: list[LocalModel]
) -> None:
    base = training.model
    assert latest_models_of_training(training.pk, training.actor) == [base, updates[1], updates[2]]
    assert latest_models_of_training(training.pk, people[0]) == [base, updates[1]]
    assert latest_models_of_training(training.pk, make_user()) == []
    with pytest.raises(EntityNotFound):
        latest_models_of_training(uuid4(), training.actor)
