from __future__ import annotations

import pytest

from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models import GlobalModel, Training
from fl_server_core.selectors.rounds import (
    current_round,
    is_target_reached,
    open_round_of,
    participant_ids,
    passed_models,
    rounds_closed,
    submitted_ids,
)
from tests.builders.rounds import mark_completed, mark_failed, set_model_round
from tests.builders.rows import (
    make_model,
    make_round,
    make_running,
    make_submission,
    make_training,
    make_update,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def training() -> Training:
    return make_running(make_user("actor"), [make_user() for _ in range(5)])


def test_participants_come_in_the_order_of_their_ids(training: Training) -> None:
    ids = participant_ids(training)
    assert ids == sorted(ids)
    assert len(ids) == 5


def test_the_current_round_is_that_of_the_database(training: Training) -> None:
    GlobalModel.objects.non_polymorphic().update(round=4)
    assert training.model.round == 0
    assert current_round(training) == 4
    outdated = Training.objects.get()
    GlobalModel.objects.all().delete()
    with pytest.raises(EntityNotFound, match="Training"):
        current_round(outdated)


def test_a_round_that_is_prepared_or_over_is_not_open(training: Training) -> None:
    opened = open_round_of(training)
    make_round(training, number=1)
    assert opened is not None
    assert open_round_of(training) == opened
    mark_failed(training)
    assert open_round_of(training) == opened  # it is what a resume opens again
    mark_completed(training)
    assert open_round_of(training) is None


def test_who_has_submitted_is_known_of_each_round(training: Training) -> None:
    first, second = training.participants.all()[:2]
    make_submission(training, first)
    make_submission(training, second, kind="test", round=1)
    assert submitted_ids(make_round(training)) == {first.pk}


def test_passed_models_are_those_of_this_training_s_model_and_these_receivers(training: Training) -> None:
    first, second = training.participants.all()[:2]
    base = GlobalModel.objects.get()
    mine = make_update(base, second, passed_to=first)
    theirs = make_update(base, first, passed_to=second)
    make_update(base, first)
    make_update(make_model(training.actor), first, passed_to=first)
    assert passed_models(training) == {first.pk: mine, second.pk: theirs}
    assert passed_models(training, [second.pk]) == {second.pk: theirs}


def test_a_model_that_was_trained_before_has_its_whole_target_before_it(training: Training) -> None:
    set_model_round(GlobalModel.objects.get(), 7)
    training.first_round, training.target_num_updates = 7, 2
    assert [rounds_closed(training, number) for number in (7, 8, 9)] == [0, 1, 2]
    assert [is_target_reached(training, number) for number in (8, 9, 10)] == [False, True, True]


def test_a_training_that_has_not_started_has_closed_nothing() -> None:
    training = make_training(make_user(), target_num_updates=0)
    assert rounds_closed(training, 3) == 0
    assert not is_target_reached(training, 3)
