"""How trainings fail and finish."""

from __future__ import annotations

import json

import pytest
import torch
from django.utils import timezone

from fl_server.telemetry.log_lines import line_formatter
from fl_server_core.exceptions import IllegalTransition
from fl_server_core.models import Delivery, EventKind, LocalModel, SubmissionFile, Training
from fl_server_core.rounds.ending import fail_training, finish_training, mark_closed, release_all_claims
from fl_server_core.selectors.rounds import open_round_of
from fl_server_core.selectors.trainings import lock_training
from fl_server_core.services.trainings import stop_training
from tests.builders.deliveries import sent_to
from tests.builders.rounds import claim_round, mark_claimed, mark_completed, passed_on, submissions
from tests.builders.rows import make_delivery, make_round, make_running, make_submission, make_update, make_user
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def test_a_process_that_is_alone_takes_over_at_once_what_an_earlier_one_had_claimed() -> None:
    world = World().start()
    world.claim_full_round()
    assert world.advance().round == 0
    release_all_claims()
    assert world.advance().round == 1
    assert lock_training(world.training.pk) is not None


def test_a_process_that_is_alone_sends_at_once_what_an_earlier_one_had_queued() -> None:
    training = make_running(make_user("actor"))
    waiting, sent = (
        make_delivery(training, make_user(), status=status, enqueued_at=timezone.now())
        for status in ("pending", "accepted")
    )
    release_all_claims()
    waiting.refresh_from_db()
    sent.refresh_from_db()
    assert waiting.enqueued_at is None
    assert sent.enqueued_at is not None


def test_a_failed_training_waits_without_a_clock_or_a_claim() -> None:
    world = World(2, options={"round_deadline": 60}).start()
    world.claim_full_round()
    fail_training(training=world.now, reason="Because.", user_id=world.people[0].pk)
    row = open_round_of(world.now)
    assert row is not None
    assert (row.claim, row.lease_until, row.deadline, row.attempts, row.problem) == (None, None, None, 0, "")
    assert (world.state, world.now.locked) == (("E", "update"), False)
    assert [submission.counted for submission in submissions()] == [False, False]
    assert {status for kind, status in world.statuses() if kind == "UPDATE_ROUND_START"} == {"superseded"}
    event = world.event(EventKind.FAILED)
    assert (event.message, event.user, event.round) == ("Because.", world.people[0], 0)


def test_failures_and_ends_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="fl_server_core.rounds.ending")
    caplog.handler.setFormatter(line_formatter("json"))
    failed, stopped, finished = (make_running(make_user(), []) for _ in range(3))
    fail_training(training=failed, reason="Because.")
    stop_training(training_id=stopped.pk, user=stopped.actor)
    finish_training(training=finished, number=2)
    line = json.loads(caplog.text.splitlines()[0])
    assert (line["training_id"], line["round"], line["level"]) == (str(failed.pk), 0, "error")
    lines = [(record.levelname, record.getMessage().partition(" ")[2].partition(" ")[2]) for record in caplog.records]
    assert lines == [
        ("ERROR", "failed in round 0: Because."),
        ("INFO", "stopped in round 0, state E."),
        ("INFO", "finished in round 2, state C."),
    ]
    assert all(str(training) in caplog.text for training in (failed, stopped, finished))


def test_what_a_leaver_had_submitted_to_a_claimed_round_goes_when_that_fails() -> None:
    world = World(2).start()
    world.claim_full_round()
    world.remove(0)
    assert LocalModel.objects.count() == 2  # it counts while the claim holds
    fail_training(training=world.now, reason="Because.")
    assert [submission.participant for submission in submissions()] == [world.people[1]]
    assert [update.owner for update in LocalModel.objects.all()] == [world.people[1]]


def test_a_training_that_is_over_does_not_fail() -> None:
    training = make_running(make_user())
    mark_completed(training)
    training.refresh_from_db()
    with pytest.raises(IllegalTransition, match="cannot go from COMPLETED to ERROR"):
        fail_training(training=training, reason="Because.")


def test_everybody_hears_of_the_end_once_whatever_they_are_in_it() -> None:
    actor, anna = make_user("actor"), make_user("anna")
    training = make_running(actor, [actor, anna])
    finish_training(training=training, number=2)
    assert (sent_to(actor), sent_to(anna)) == (["TRAINING_FINISHED"], ["TRAINING_FINISHED"])
    assert Delivery.objects.filter(body={"global_model_uuid": str(training.model_id)}).count() == 2
    assert Training.objects.get().state == "C"
    event = training.events.get()
    assert (event.kind, event.round, event.author) == ("finished", 2, None)


def test_a_stopped_training_abandons_its_round_and_early_updates_to_the_next() -> None:
    world = World(1).start()
    world.update(0, 1.0)
    world.advance()
    world.update(0, 2.0, number=1)
    stop_training(training_id=world.training.pk, user=world.actor)
    rounds = world.training.rounds.values_list("kind", "number", "outcome")
    assert list(rounds) == [("update", 0, "closed"), ("test", 1, "abandoned")]
    assert not LocalModel.objects.exists()
    event = world.event(EventKind.STOPPED)
    assert (event.user, event.author) == (world.actor, world.actor)


@pytest.mark.parametrize("is_kept", [False, True])
def test_updates_to_an_abandoned_round_go_unless_the_training_keeps_updates(is_kept: bool) -> None:
    world = World(2, options={"delete_local_models_after_aggregation": not is_kept}).start()
    world.update(0, 1.0)
    stop_training(training_id=world.training.pk, user=world.actor)
    assert LocalModel.objects.count() == is_kept


def test_the_files_of_submissions_to_an_abandoned_round_go_whatever_the_training_keeps() -> None:
    world = World(2, swag=True, options={"delete_local_models_after_aggregation": False}).start()
    for who in range(2):
        world.update(who, 1.0)
    world.advance()
    world.moments(0, torch.zeros(8), torch.zeros(8))
    assert SubmissionFile.objects.count() == 2
    stop_training(training_id=world.training.pk, user=world.actor)
    assert not SubmissionFile.objects.exists()


def test_a_training_that_ends_leaves_nothing_to_be_trained_on() -> None:
    anna = make_user("anna")
    training = make_running(make_user(), [anna])
    make_update(training.model, anna, passed_to=anna)  # type: ignore[arg-type]
    finish_training(training=training, number=0)
    assert passed_on() == []


def test_a_round_that_is_over_has_no_claim_and_no_problem() -> None:
    anna = make_user("anna")
    training = make_running(make_user(), [anna])
    make_submission(training, anna)
    row = claim_round(training).round
    row.problem, row.problem_since = "The file storage fails.", timezone.now()
    mark_closed(row)
    row.refresh_from_db()
    assert not any((row.claim, row.lease_until, row.problem, row.problem_since))
    assert (row.outcome, row.is_open) == ("closed", False)


def test_claims_on_rounds_that_are_over_are_not_released() -> None:
    training = make_running(make_user())
    mark_claimed(training, lease_in=60)
    lease = make_round(training).lease_until
    mark_completed(training)
    release_all_claims()
    assert make_round(training).lease_until == lease
