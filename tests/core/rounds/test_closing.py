"""A claimed round is closed whole, tried again, or given up at once where trying again can't help."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db.models import QuerySet

from fl_server_ai.rounds.update import Aggregated, UpdateRound
from fl_server_core.models import EventKind, LocalModel, Round, Training
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.due import MAX_ATTEMPTS
from fl_server_core.rounds.kinds import CannotClose
from fl_server_core.selectors.status import training_status
from fl_server_core.services.files import NewFiles
from fl_server_core.services.trainings import resume_training, stop_training
from tests.builders.rounds import claim_attempts_of, date_problem_back, is_claimed
from tests.builders.storage import stored_files
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def full_world(participants: int = 2, **fields: Any) -> World:
    world = World(participants, **fields).start()
    for who in range(participants):
        world.update(who, float(who + 1))
    return world


def test_two_updates_are_too_few_for_multi_krum_and_the_training_fails_at_once() -> None:
    world = full_world(2, aggregation_method="MultiKrum")
    world.advance()
    assert world.state == ("E", "update")
    assert world.event(EventKind.FAILED).message == "Multi-Krum needs at least 3 updates; there are 2."
    assert EventKind.TAKEN_OVER not in world.history()
    assert (world.round, claim_attempts_of(world.training), is_claimed(world.training)) == (0, 0, False)


def test_a_training_that_failed_for_too_few_updates_goes_on_with_another_participant() -> None:
    world = full_world(3, aggregation_method="MultiKrum", options={"aggregation": {"keep": 4}})
    world.advance()
    assert world.event(EventKind.FAILED).message == "Multi-Krum cannot keep 4 updates: there are 3."
    Training.objects.update(options={})
    resume_training(training_id=world.training.pk, user=world.actor)
    world.advance()
    assert world.round == 1


def test_options_that_were_written_past_validation_fail_the_training_at_once() -> None:
    world = full_world(aggregation_method="TrimmedMean")
    Training.objects.update(options={"aggregation": {"trim": "much"}})
    world.advance()
    assert world.state == ("E", "update")
    assert "aggregation.trim" in world.event(EventKind.FAILED).message


@pytest.mark.parametrize("what", ["kind", "method"])
def test_a_worker_leaves_what_it_does_not_know_to_others_for_an_hour_and_then_the_training_fails(what: str) -> None:
    world = full_world()
    rows: QuerySet[Any] = Round.objects.all() if what == "kind" else Training.objects.all()
    column = "kind" if what == "kind" else "aggregation_method"
    known = rows.values_list(column, flat=True).get()
    rows.update(**{column: "gone"})
    for _ in range(2 * MAX_ATTEMPTS):  # an old worker comes again and again, while versions change
        world.advance()
        world.let_the_lease_run_out()
    assert (world.now.state, claim_attempts_of(world.training)) == ("O", 0)
    assert "'gone'. Install it again" in str(training_status(world.now)["problem"])
    rows.update(**{column: known})  # as a worker of the new version knows it
    world.advance()
    assert (world.round, EventKind.TAKEN_OVER in world.history()) == (1, False)


def test_what_no_worker_knows_for_an_hour_fails_the_training_with_what_to_do() -> None:
    world = full_world()
    Round.objects.update(kind="gone")
    world.advance()
    date_problem_back(world.training, timedelta(hours=1))
    world.let_the_lease_run_out()
    world.advance()
    assert world.now.state == "E"
    assert "'gone'. Install it again" in world.event(EventKind.FAILED).message


def break_compute(monkeypatch: pytest.MonkeyPatch, error: Exception, action: Any = None) -> None:
    """Computing writes a file and then fails; before that, `action` happens elsewhere."""

    def fail(_kind: UpdateRound, _claim: Claim, files: NewFiles) -> Aggregated:
        files.store(ContentFile(b"half"))
        if action is not None:
            action()
        raise error

    monkeypatch.setattr(UpdateRound, "compute", fail)


def test_what_cannot_be_closed_leaves_the_updates_and_no_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    world = full_world()
    before = stored_files()
    break_compute(monkeypatch, CannotClose("It can't be done."))
    world.advance()
    assert world.event(EventKind.FAILED).message == "It can't be done."
    assert (stored_files(), LocalModel.objects.count()) == (before, 2)


def test_who_cannot_close_a_round_that_is_over_does_not_fail_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    world = full_world()
    break_compute(
        monkeypatch,
        CannotClose("It can't be done."),
        lambda: stop_training(training_id=world.training.pk, user=world.actor),
    )
    world.advance()
    assert world.history()[-1] == EventKind.STOPPED


def test_another_error_leaves_the_round_claimed_says_why_and_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    world = full_world()
    before = stored_files()
    break_compute(monkeypatch, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        world.advance()
    assert world.state == ("O", "update")
    assert is_claimed(world.training)
    assert (claim_attempts_of(world.training), stored_files()) == (1, before)
    assert Round.objects.get().problem == "ZeroDivisionError; see the workers' logs."


def test_a_round_is_closed_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    world = full_world(options={"skip_model_tests": True})
    before = stored_files()
    apply = UpdateRound.apply

    def apply_and_fail(kind: UpdateRound, claim: Claim, training: Training, result: Aggregated) -> None:
        apply(kind, claim, training, result)
        raise ZeroDivisionError

    monkeypatch.setattr(UpdateRound, "apply", apply_and_fail)
    with pytest.raises(ZeroDivisionError):
        world.advance()
    assert (world.round, world.model.versions.count(), LocalModel.objects.count()) == (0, 1, 2)
    assert EventKind.AGGREGATED not in world.history()
    assert stored_files() == before
    monkeypatch.setattr(UpdateRound, "apply", apply)
    world.let_the_lease_run_out().advance()
    assert (world.round, world.weight) == (1, 1.5)


def test_a_closed_round_has_no_claim_and_the_next_one_is_open() -> None:
    world = full_world(options={"skip_model_tests": True}).advance()
    first, second = Round.objects.filter(training=world.training)
    assert (first.outcome, first.claim, first.lease_until, first.problem) == ("closed", None, None, "")
    assert first.closed_at is not None
    assert second.is_open
    assert world.model.current_version is not None
    assert world.model.current_version.made_by == first
