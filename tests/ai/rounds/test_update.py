"""What closing a round of updates leaves."""

from __future__ import annotations

import pytest

from fl_server_ai.rounds.update import remove_updates
from fl_server_core.models import LocalModel, Training
from tests.builders.rounds import claim_round
from tests.builders.rows import make_running, make_submission, make_update, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def training() -> Training:
    """Its only participant has submitted to round 0 and early to round 1."""
    anna = make_user("anna")
    training = make_running(make_user("actor"), [anna])
    for number in (0, 1):
        update = make_update(training.model, anna, round=number)  # type: ignore[arg-type]
        make_submission(training, anna, round=number, update=update)
    return training


def rounds_of_updates() -> list[int]:
    return sorted(LocalModel.objects.values_list("round", flat=True))


def test_updates_of_the_closed_round_go_and_those_of_a_later_one_stay(training: Training) -> None:
    remove_updates(claim_round(training), training)
    assert rounds_of_updates() == [1]


def test_updates_of_an_earlier_training_of_the_model_stay(training: Training) -> None:
    earlier = make_update(training.model, make_user())  # type: ignore[arg-type]
    remove_updates(claim_round(training), training)
    assert LocalModel.objects.filter(pk=earlier.pk).exists()


def test_updates_that_are_to_be_kept_are_passed_on_no_more(training: Training) -> None:
    training.options = {"delete_local_models_after_aggregation": False}
    LocalModel.objects.update(passed_to=training.actor)
    remove_updates(claim_round(training), training)
    assert rounds_of_updates() == [0, 1]
    assert [update.round for update in LocalModel.objects.filter(passed_to=training.actor)] == [1]


def test_what_is_named_stays_as_it_is(training: Training) -> None:
    named = LocalModel.objects.get(round=0)
    remove_updates(claim_round(training), training, keep={named.pk})
    assert rounds_of_updates() == [0, 1]
