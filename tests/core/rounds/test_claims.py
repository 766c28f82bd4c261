"""One worker at a time has a round. What happens while it computes: tests/ai/trainer/."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from fl_server_core.models import EventKind, Round, Training
from fl_server_core.rounds import claims
from fl_server_core.rounds.claims import Claim, ClaimLost, Due, claim_due_round
from fl_server_core.rounds.due import MAX_ATTEMPTS, decide
from fl_server_core.storage import StorageUnavailable
from tests.builders.rounds import (
    claim_attempts_of,
    claim_round,
    lease_of,
    let_the_lease_run_out,
    mark_claimed,
    phase_of,
    set_claim_attempts,
    submissions,
)
from tests.builders.rows import make_running, make_submission, make_user
from tests.builders.threads import at_once
from tests.builders.world import World


@pytest.fixture
def training(db: None) -> Training:
    """Everybody has submitted."""
    people = [make_user("p0"), make_user("p1")]
    training = make_running(make_user("actor"), people)
    for person in people:
        make_submission(training, person, is_silent=True)
    return training


@pytest.mark.django_db(transaction=True)
def test_of_workers_that_want_a_round_at_once_one_gets_it(training: Training) -> None:
    found = at_once(*[lambda: claim_due_round(training.pk)] * 4)
    (won,) = [claim for claim in found if claim is not None]
    assert isinstance(won, Claim)
    assert won.round.claim == Round.objects.get().claim
    assert claim_attempts_of(training) == 1


@pytest.mark.django_db(transaction=True)
def test_of_workers_that_want_to_take_over_at_once_one_does(training: Training) -> None:
    mark_claimed(training, lease_in=-1)
    found = at_once(*[lambda: claim_due_round(training.pk)] * 4)
    assert len([claim for claim in found if claim is not None]) == 1
    assert claim_attempts_of(training) == 2
    assert training.events.filter(kind=EventKind.TAKEN_OVER).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_claims_on_the_same_row_the_second_finds_it_taken(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the training's lock did not hold the second back: the statement itself decides.

    def claim_meanwhile(found: Training, row: Round) -> object:
        monkeypatch.setattr(claims, "decide", decide)
        mark_claimed(training, lease_in=60)
        return decide(found, row)

    monkeypatch.setattr(claims, "decide", claim_meanwhile)
    assert claim_due_round(training.pk) is None
    assert claim_attempts_of(training) == 1


def test_a_lease_ends_in_its_last_moment(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    mark_claimed(training, lease_in=60)
    end = lease_of(training)
    monkeypatch.setattr(timezone, "now", lambda: end)
    assert isinstance(claim_due_round(training.pk), Claim)


class TwoLooks(threading.Event):
    """Not set when it is looked at first, set from then on."""

    def wait(self, timeout: float | None = None) -> bool:
        was_set = self.is_set()
        self.set()
        return was_set


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("leases", "is_renewed"), [(9.5, True), (10.5, False)])
def test_a_worker_holds_its_lease_for_ten_leases_without_progress(
    training: Training, settings: Settings, leases: float, is_renewed: bool
) -> None:
    settings.FL_LEASE_SECONDS = 1000
    claim = claim_round(training)
    let_the_lease_run_out(training)
    claim._progress -= leases * settings.FL_LEASE_SECONDS
    claim._keep(TwoLooks())
    assert (lease_of(training) > timezone.now()) == is_renewed


def test_a_claim_counts_what_is_there_in_the_order_of_the_participants(training: Training) -> None:
    claim = claim_round(training)
    ids = [submission.participant_id for submission in claim.submissions]
    assert ids == sorted(ids)
    assert (len(ids), claim.expected) == (2, 2)
    assert all(submission.counted for submission in submissions(training))
    assert Training.objects.get().locked
    assert claim.round.lease_until is not None
    assert claim.round.lease_until > timezone.now()


def test_a_takeover_counts_what_the_first_claim_counted(training: Training) -> None:
    claim_round(training)
    late = make_user("late")
    make_submission(training, late)
    Round.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert len(claim_round(training).submissions) == 2


@pytest.mark.django_db
def test_nothing_is_claimed_where_nothing_is_due() -> None:
    training = make_running(make_user(), [make_user()])
    assert claim_due_round(training.pk) is None
    assert not Training.objects.get().locked


def test_who_may_not_compute_leaves_what_is_to_be_computed(training: Training) -> None:
    assert claim_due_round(training.pk, may_compute=False) is Due.TO_COMPUTE
    assert claim_attempts_of(training) == 0
    Round.objects.update(kind="test")
    assert isinstance(claim_due_round(training.pk, may_compute=False), Claim)


def test_a_kind_that_is_not_installed_is_left_to_a_worker_that_computes(training: Training) -> None:
    Round.objects.update(kind="gone")
    assert claim_due_round(training.pk, may_compute=False) is Due.TO_COMPUTE


def test_a_round_that_cannot_go_on_fails_its_training(training: Training) -> None:
    set_claim_attempts(training)
    assert claim_due_round(training.pk) is Due.FAILED
    assert (Training.objects.get().state, phase_of(training)) == ("E", "update")
    assert claim_due_round(training.pk) is None


def test_a_claim_that_is_another_s_by_now_is_lost(training: Training) -> None:
    claim = claim_round(training)
    mark_claimed(training, lease_in=60)
    with pytest.raises(ClaimLost):
        claim.lock()
    claim.report(OSError("away"))  # writes nothing
    assert Round.objects.get().problem == ""


@pytest.mark.parametrize(
    ("error", "attempts", "problem"),
    [
        (OSError(28, "No space left on device"), 0, "The file storage fails: No space left on device."),
        (FileNotFoundError(2, "No such file or directory"), 1, "The file storage fails: No such file or directory."),
        (ValueError("secret"), 1, "ValueError; see the workers' logs."),
    ],
    ids=["full", "missing", "bug"],
)
def test_a_problem_is_written_down_and_one_that_may_pass_costs_no_attempt(
    training: Training, error: Exception, attempts: int, problem: str
) -> None:
    claim_round(training).report(error)
    row = Round.objects.get()
    assert (row.attempts, row.problem) == (attempts, problem)
    assert row.problem_since is not None


def test_a_problem_fits_its_column(training: Training) -> None:
    claim_round(training).report(OSError(28, "x" * 300))
    problem = Round.objects.get().problem
    assert (len(problem), problem[:27]) == (256, "The file storage fails: xxx")


def test_a_storage_that_is_away_since_its_folder_is_gone_costs_attempts(training: Training) -> None:
    error = StorageUnavailable("away")
    error.__cause__ = PermissionError(13, "Permission denied")
    claim_round(training).report(error)
    assert claim_attempts_of(training) == 1


def test_a_problem_lasts_a_day_at_most(training: Training) -> None:
    claim = claim_round(training)
    claim.report(OSError(28, "No space left on device"))
    Round.objects.update(attempts=1, problem_since=timezone.now() - timedelta(hours=25))
    claim.report(OSError(28, "No space left on device"))
    assert claim_attempts_of(training) == 1


@pytest.mark.django_db
def test_who_takes_over_after_a_problem_makes_no_event_of_it() -> None:
    world = World(1).start()
    claim = world.claim_full_round()
    claim.report(OSError(28, "No space left on device"))
    world.let_the_lease_run_out()
    claim_round(world.training)
    assert EventKind.TAKEN_OVER not in world.history()
    assert claim_attempts_of(world.training) < MAX_ATTEMPTS
