"""What happens around a round that a worker has claimed: people come and go, accounts and updates are deleted."""

from __future__ import annotations

import pytest
from django.utils import timezone

from fl_server_core.exceptions import InvalidRequest, WrongRound
from fl_server_core.models import EventKind, LocalModel, Training
from fl_server_core.rounds.due import due_rounds
from fl_server_core.selectors.status import training_status
from fl_server_core.services.accounts import delete_user
from fl_server_core.services.models import delete_model
from fl_server_core.services.participants import add_participants
from fl_server_core.services.trainings import resume_training, stop_training
from tests.builders.clients import make_operator
from tests.builders.deliveries import rounds_told_to, sent_to
from tests.builders.rounds import claim_round, drop_submissions, mark_claimed, set_claim_attempts, set_deadline
from tests.builders.rows import make_user
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def fail_at_the_last_attempt(world: World) -> None:
    set_claim_attempts(world.training)
    world.let_the_lease_run_out()
    world.advance()
    assert world.state == ("E", "update")


def test_who_joins_is_told_of_the_training_but_not_of_the_claimed_round() -> None:
    world = World().start()
    world.claim_full_round()
    late = make_user("late")
    add_participants(training_id=world.training.pk, user=world.actor, user_ids=[late.pk])
    assert sent_to(late) == ["TRAINING_START"]
    world.people.append(late)
    with pytest.raises(WrongRound):
        world.update(3, 1.0)
    world.let_the_lease_run_out()
    world.advance()
    assert rounds_told_to(late) == [
        ("TRAINING_START", None),
        ("MODEL_TEST_ROUND", 1),
    ]


def test_a_claimed_round_counts_who_leaves_and_is_closed_though_nobody_is_left() -> None:
    world = World(2).start()
    world.claim_full_round()
    world.remove(0, 1)
    assert world.state == ("O", "update")
    world.let_the_lease_run_out()
    world.advance()
    assert world.round == 1
    assert world.weight == pytest.approx(1.5)
    assert world.state == ("E", "test")


def test_who_left_a_claimed_round_counts_no_more_after_a_resume() -> None:
    world = World().start()
    world.claim_full_round()
    world.remove(2)
    fail_at_the_last_attempt(world)
    resume_training(training_id=world.training.pk, user=world.actor)
    world.advance()
    assert world.weight == pytest.approx(1.5)


def test_a_claimed_round_whose_answers_went_with_their_accounts_fails_and_says_so() -> None:
    world = World(2, options={"round_deadline": 60, "min_updates": 1}).start()
    world.update(0, 1.0)
    set_deadline(world.training, timezone.now())
    mark_claimed(world.training)
    delete_user(user=world.people[0], author=make_operator())
    world.let_the_lease_run_out()
    world.advance()
    assert world.state == ("E", "update")
    assert "accounts" in world.event(EventKind.FAILED).message


def test_nobody_is_awaited_in_a_claimed_round() -> None:
    world = World(2).start()
    assert [person["awaited"] for person in training_status(world.now)["participants"]] == [True, True]
    world.claim_full_round()
    drop_submissions(world.training, world.people[0])
    assert [person["awaited"] for person in training_status(world.now)["participants"]] == [False, False]


def test_only_what_may_be_due_is_looked_at() -> None:
    world = World(options={"round_deadline": 60}).start()
    assert not due_rounds().exists()
    set_deadline(world.training, timezone.now())
    assert due_rounds().exists()
    world.claim_full_round()
    assert not due_rounds().exists()
    world.let_the_lease_run_out()
    assert due_rounds().exists()


def test_an_update_that_the_actor_deletes_is_asked_for_again() -> None:
    world = World(2).start()
    world.update(0, 1.0)
    delete_model(model_id=LocalModel.objects.get().pk, user=world.actor)
    asked = [delivery.receiver for delivery in world.sent("UPDATE_ROUND_START") if delivery.status == "pending"]
    assert sorted(person.pk for person in asked) == [person.pk for person in world.people]
    event = world.event(EventKind.UPDATE_DELETED)
    assert (event.user, event.round) == (world.people[0], 0)
    for who in range(2):
        world.update(who, 4.0)
    world.advance()
    assert (world.round, world.weight) == (1, 4.0)


@pytest.mark.parametrize("participants", [1, 2])
def test_an_early_update_that_is_deleted_during_the_test_is_no_answer_to_the_next_round(participants: int) -> None:
    world = World(participants).start()
    for who in range(participants):
        world.update(who, 1.0)
    world.advance()
    assert world.state == ("O", "test")
    for who in range(participants):
        world.update(who, 5.0, number=1)
    delete_model(model_id=LocalModel.objects.get(owner=world.people[0]).pk, user=world.people[0])
    assert len(world.events(EventKind.UPDATE_DELETED)) == 1
    for who in range(participants):
        world.metrics(who)
    world.advance()
    assert (world.round, *world.state) == (1, "O", "update")
    assert next(person["awaited"] for person in training_status(world.now)["participants"]) is True
    world.update(0, 7.0)
    world.advance()
    assert world.round == 2
    assert world.weight == pytest.approx(7.0 if participants == 1 else 6.0)


def test_an_update_of_a_stopped_training_can_be_deleted() -> None:
    world = World(2).start()
    world.claim_full_round()
    stop_training(training_id=world.training.pk, user=world.actor)
    for update in LocalModel.objects.all():
        delete_model(model_id=update.pk, user=world.actor)
    assert not LocalModel.objects.exists()


def test_a_claimed_update_is_deleted_after_the_round_only() -> None:
    world = World(2, options={"delete_local_models_after_aggregation": False, "skip_model_tests": True}).start()
    world.claim_full_round()
    update = LocalModel.objects.earliest("created_at")
    with pytest.raises(InvalidRequest, match="being aggregated"):
        delete_model(model_id=update.pk, user=world.actor)
    world.let_the_lease_run_out()
    world.advance()
    assert world.round == 1
    delete_model(model_id=update.pk, user=world.actor)
    assert LocalModel.objects.count() == 1
    assert len(world.events(EventKind.UPDATE_DELETED)) == 0


def test_who_joins_a_failed_training_hears_of_it_when_it_is_resumed() -> None:
    world = World(2).start()
    world.claim_full_round()
    fail_at_the_last_attempt(world)
    late = make_user("late")
    add_participants(training_id=world.training.pk, user=world.actor, user_ids=[late.pk])
    resume_training(training_id=world.training.pk, user=world.actor)
    assert sent_to(late) == [
        "TRAINING_START",
        "UPDATE_ROUND_START",
    ]
    assert world.people[0].deliveries.filter(notification_type="TRAINING_START").count() == 1


def test_a_test_round_that_is_taken_over_was_expected_from_everybody_too() -> None:
    world = World(2).start()
    for who in range(2):
        world.update(who, 1.0)
    world.advance()
    for who in range(2):
        world.metrics(who)
    claim_round(world.training)
    world.let_the_lease_run_out().advance()
    figures = world.event("tested").figures
    assert (figures["arrived"], figures["expected"]) == (2, 2)


def test_a_stopped_training_that_is_set_running_by_hand_goes_on_in_its_round_and_announces_it_once() -> None:
    world = World(2).start()
    world.update(0, 1.0)
    stop_training(training_id=world.training.pk, user=world.actor)
    Training.objects.filter(pk=world.training.pk).update(state="O")
    world.advance().advance()
    assert world.state == ("O", "update")
    assert len(world.sent("UPDATE_ROUND_START")) == 4
    world.update(0, 2.0)
    world.update(1, 4.0)
    world.advance()
    assert world.round == 1
    assert world.weight == pytest.approx(3.0)
