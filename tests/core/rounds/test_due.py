"""What is due, decided from rows alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from fl_server_core.models import Training, User
from fl_server_core.rounds.due import MAX_ATTEMPTS, Decision, decide, due_rounds, trainings_without_round
from fl_server_core.selectors.rounds import open_round_of
from tests.builders.rounds import (
    lease_of,
    mark_claimed,
    mark_completed,
    mark_failed,
    set_claim_attempts,
    set_deadline,
)
from tests.builders.rows import make_round, make_running, make_submission, make_training, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def training(people: list[User]) -> Training:
    return make_running(make_user("actor"), people)


@pytest.fixture
def full(training: Training, people: list[User]) -> Training:
    """Everybody has submitted."""
    for person in people:
        make_submission(training, person)
    return training


def is_due(training: Training) -> bool:
    return due_rounds().filter(training=training).exists()


def decision_on(training: Training) -> Decision:
    row = open_round_of(training)
    assert row is not None
    return decide(training, row)


def late(training: Training) -> None:
    set_deadline(training, timezone.now() - timedelta(seconds=1))


def test_a_round_is_due_when_the_last_has_submitted(training: Training, people: list[User]) -> None:
    make_submission(training, people[0])
    assert not is_due(training)
    make_submission(training, people[1])
    assert is_due(training)
    assert decision_on(training) == Decision(2)


def test_submissions_to_another_round_do_not_make_it_complete(training: Training, people: list[User]) -> None:
    make_submission(training, people[0])
    make_submission(training, people[1], round=1)
    make_submission(training, people[1], kind="test")
    other = make_running(make_user(), people)
    make_submission(other, people[1])
    assert not is_due(training)


def test_a_removed_participant_is_not_awaited_and_its_submission_stands_for_nobody(
    training: Training, people: list[User]
) -> None:
    make_submission(training, people[0])
    training.participants.remove(people[0])
    assert not is_due(training)
    make_submission(training, people[1])
    assert is_due(training)
    assert decision_on(training) == Decision(1)


def test_a_round_is_due_at_its_deadline(training: Training) -> None:
    set_deadline(training, timezone.now() + timedelta(seconds=60))
    assert not is_due(training)
    assert due_rounds(timezone.now() + timedelta(seconds=61)).exists()


def test_a_round_is_due_in_the_very_moment_of_its_deadline_or_of_its_lease_s_end(training: Training) -> None:
    deadline = timezone.now() + timedelta(seconds=60)
    set_deadline(training, deadline)
    assert due_rounds(deadline).exists()
    mark_claimed(training, lease_in=60)
    assert due_rounds(lease_of(training)).exists()


def test_a_claimed_round_is_due_when_its_lease_has_run_out(full: Training) -> None:
    mark_claimed(full, lease_in=60)
    late(full)  # a deadline does not take a round from its worker
    assert not is_due(full)
    mark_claimed(full, lease_in=-1)
    assert is_due(full)


def test_only_open_rounds_of_running_trainings_are_due(full: Training, people: list[User]) -> None:
    mark_failed(full)
    assert not is_due(full)
    finished = make_running(make_user(), people)
    for person in people:
        make_submission(finished, person)
    mark_completed(finished)
    prepared = make_training(make_user(), people, state="O")
    make_round(prepared)
    assert not due_rounds().exists()


def test_a_round_without_participants_is_due_and_fails() -> None:
    training = make_running(make_user())
    assert is_due(training)
    assert decision_on(training).failure == "All participants have left."


@pytest.mark.parametrize(
    ("min_updates", "failure"),
    [
        (None, "At the deadline 1 of 2 participants had submitted; 2 are needed."),
        (2, "At the deadline 1 of 2 participants had submitted; 2 are needed."),
        (1, ""),
        (0.5, ""),
    ],
)
def test_at_the_deadline_as_many_suffice_as_the_options_say(
    training: Training, people: list[User], min_updates: float | None, failure: str
) -> None:
    training.options = {"round_deadline": 60, "min_updates": min_updates}
    make_submission(training, people[0])
    late(training)
    assert decision_on(training) == Decision(2, failure)


def test_who_has_left_does_not_count_at_the_deadline(training: Training, people: list[User]) -> None:
    training.options = {"round_deadline": 60, "min_updates": 1}
    make_submission(training, people[0])
    training.participants.remove(people[0])
    late(training)
    assert decision_on(training).failure == "At the deadline 0 of 1 participant had submitted; 1 is needed."


def test_a_round_that_was_claimed_too_often_fails(full: Training) -> None:
    set_claim_attempts(full, MAX_ATTEMPTS - 1)
    assert decision_on(full).failure == ""
    set_claim_attempts(full)
    assert f"{MAX_ATTEMPTS} attempts" in decision_on(full).failure


def test_a_claimed_round_closes_with_what_was_counted_and_fails_with_nothing(full: Training) -> None:
    mark_claimed(full)
    assert decision_on(full) == Decision(2)
    full.participants.clear()
    assert decision_on(full) == Decision(0)
    row = open_round_of(full)
    assert row is not None
    row.submissions.all().delete()
    assert "accounts" in decision_on(full).failure


def test_a_training_put_into_a_running_state_by_hand_has_no_round(training: Training, people: list[User]) -> None:
    by_hand = make_training(make_user(), people, state="O")
    make_round(by_hand)  # prepared
    make_training(make_user(), people)
    assert list(trainings_without_round()) == [by_hand]
