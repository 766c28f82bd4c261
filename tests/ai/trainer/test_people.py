from datetime import timedelta

import pytest
import torch
from django.db import transaction
from django.utils import timezone

from fl_server_core.exceptions import InvalidRequest, NotAllowed
from fl_server_core.models import Delivery, DeliveryStatus, EventKind
from fl_server_core.selectors.status import training_status
from fl_server_core.selectors.trainings import lock_training
from fl_server_core.services.participants import add_participants, drop_participants
from fl_server_core.services.trainings import delete_training, resume_training, start_training, stop_training
from tests.builders.deliveries import sent_to
from tests.builders.rounds import deadline_of, open_since, phase_of
from tests.builders.rows import make_user
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def test_removing_the_one_who_is_awaited_lets_the_round_close() -> None:
    world = World().start()
    world.update(0, 1.0)
    world.update(1, 3.0)
    world.remove(2)
    world.advance()
    assert world.round == 1
    assert world.weight == pytest.approx(2.0)
    assert [delivery.receiver for delivery in world.sent("CLIENT_REMOVED")] == [world.people[2]]


def test_the_answer_of_a_removed_participant_does_not_count() -> None:
    world = World().start()
    for who in range(3):
        world.update(who, float(who))
    world.remove(2)
    world.advance()
    assert world.weight == pytest.approx(0.5)


def test_removing_the_last_participant_is_an_error() -> None:
    world = World(1).start()
    world.remove(0)
    assert world.state == ("E", "update")


def test_a_late_participant_is_told_of_the_training_and_of_the_open_round() -> None:
    world = World().start()
    late = make_user("late")
    add_participants(training_id=world.training.pk, user=world.actor, user_ids=[late.pk])
    assert sent_to(late) == [
        "TRAINING_START",
        "UPDATE_ROUND_START",
    ]
    for who in range(3):
        world.update(who, 1.0)
    world.advance()
    assert world.round == 0


def test_a_participant_may_not_steer() -> None:
    world = World().start()
    for steer in (stop_training, resume_training, delete_training, start_training):
        with pytest.raises(NotAllowed):
            steer(training_id=world.training.pk, user=world.people[0])


def test_at_the_deadline_enough_updates_suffice() -> None:
    world = World(3, options={"round_deadline": 60, "min_updates": 0.6}).start()
    world.update(0, 1.0)
    world.update(2, 3.0)
    world.advance()
    assert world.round == 0
    world.pass_the_deadline()
    assert world.round == 1
    assert world.weight == pytest.approx(2.0)


def test_at_the_deadline_too_few_updates_are_an_error() -> None:
    world = World(3, options={"round_deadline": 60, "min_updates": 2}).start()
    world.update(0, 1.0)
    world.pass_the_deadline()
    assert world.state == ("E", "update")


def test_a_fraction_of_the_participants_is_rounded_up() -> None:
    world = World(3, options={"round_deadline": 60, "min_updates": 0.5}).start()
    world.update(0, 1.0)
    world.pass_the_deadline()
    assert world.state == ("E", "update")
    assert "1 of 3 participants had submitted; 2 are needed" in training_status(world.now)["failure"]


def test_every_phase_has_the_deadline_from_its_own_start() -> None:
    world = World(1, swag=True, options={"round_deadline": 60}).start()
    for phase in ("update", "swag", "test"):
        expected = open_since(world.training) + timedelta(seconds=60)
        assert (phase_of(world.training), deadline_of(world.training)) == (phase, expected)
        if phase == "update":
            world.update(0, 1.0)
        elif phase == "swag":
            world.moments(0, torch.ones(8), torch.ones(8))
        world.advance()


def test_a_deadline_alone_needs_everybody() -> None:
    world = World(3, options={"round_deadline": 60}).start()
    world.update(0, 1.0)
    world.update(1, 1.0)
    world.pass_the_deadline()
    assert world.state == ("E", "update")


def test_a_test_round_goes_on_without_the_missing_at_the_deadline() -> None:
    world = World(2, options={"round_deadline": 60, "min_updates": 1}).start()
    world.update(0, 1.0)
    world.update(1, 1.0)
    world.advance()
    world.metrics(1)
    world.pass_the_deadline()
    assert (world.round, *world.state) == (1, "O", "update")


def test_a_resumed_training_goes_on_and_tells_only_those_who_are_missing() -> None:
    world = World(3, options={"round_deadline": 60}).start()
    world.update(0, 1.0)
    world.update(1, 2.0)
    world.pass_the_deadline()
    Delivery.objects.all().delete()
    resume_training(training_id=world.training.pk, user=world.actor)
    assert world.state == ("O", "update")
    assert [delivery.receiver for delivery in world.sent("UPDATE_ROUND_START")] == [world.people[2]]
    deadline = deadline_of(world.training)
    assert deadline is not None
    assert deadline > timezone.now() + timedelta(seconds=50)
    world.update(2, 3.0)
    world.advance()
    assert world.weight == pytest.approx(2.0)


def test_only_a_failed_training_can_be_resumed() -> None:
    world = World().start()
    with pytest.raises(InvalidRequest, match="not in state ERROR"):
        resume_training(training_id=world.training.pk, user=world.actor)


def test_a_training_that_was_stopped_cannot_be_resumed() -> None:
    world = World().start()
    stop_training(training_id=world.training.pk, user=world.actor)
    assert world.state == ("E", "idle")
    with pytest.raises(InvalidRequest, match="was stopped: only a failed one"):
        resume_training(training_id=world.training.pk, user=world.actor)


def test_stopping_after_a_closed_round_completes_the_training() -> None:
    world = World(1, options={"skip_model_tests": True}).start()
    world.update(0, 1.0)
    world.advance()
    stop_training(training_id=world.training.pk, user=world.actor)
    assert world.state == ("C", "idle")
    assert sorted(delivery.receiver.username for delivery in world.sent("TRAINING_FINISHED")) == ["actor", "p0"]


def test_stopping_before_any_round_is_closed_is_an_error_that_cannot_be_resumed() -> None:
    world = World().start()
    stop_training(training_id=world.training.pk, user=world.actor)
    assert world.state == ("E", "idle")
    with pytest.raises(InvalidRequest):
        resume_training(training_id=world.training.pk, user=world.actor)


def test_deleting_a_running_training_tells_its_participants_and_drops_its_round_starts() -> None:
    world = World(2).start()
    delete_training(training_id=world.training.pk, user=world.actor)
    assert len(world.sent("CLIENT_REMOVED")) == 2
    assert {delivery.status for delivery in world.sent("UPDATE_ROUND_START")} == {DeliveryStatus.SUPERSEDED}
    assert world.model is not None


def test_a_new_round_supersedes_what_was_not_yet_delivered_of_the_old() -> None:
    world = World(1, options={"skip_model_tests": True}).start()
    world.update(0, 1.0)
    world.advance()
    assert [delivery.status for delivery in world.sent("UPDATE_ROUND_START")] == [
        DeliveryStatus.SUPERSEDED,
        DeliveryStatus.PENDING,
    ]


def test_who_rejected_a_notification_is_not_told_that_it_was_removed() -> None:
    world = World(2).start()
    with transaction.atomic():
        training = lock_training(world.training.pk)
        assert training is not None
        drop_participants(
            training=training, leaving=[world.people[0].pk], kind=EventKind.PARTICIPANT_REJECTED, message="Status 410."
        )
    assert world.sent("CLIENT_REMOVED") == []
    assert list(world.now.participants.all()) == [world.people[1]]
    assert EventKind.PARTICIPANT_REJECTED in world.history()
