"""Claims on deliveries, and how they are settled by whoever comes first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models import Delivery, EventKind
from fl_server_core.services.delivery_attempts import (
    accept_delivery,
    acknowledge,
    claim_delivery,
    claim_due_deliveries,
    leave_unanswered,
    reject_delivery,
)
from fl_server_core.services.participants import add_participants, remove_participants
from fl_server_core.services.trainings import resume_training, stop_training
from tests.builders.deliveries import make_about, make_due
from tests.builders.rows import make_user
from tests.builders.world import NOWHERE, World

pytestmark = pytest.mark.django_db


def claim(delivery: Delivery) -> Delivery:
    claimed = claim_delivery(delivery_id=delivery.pk)
    assert claimed is not None
    return claimed


def told_world(participants: int = 1) -> World:
    """A training whose participants know that it has started."""
    world = World([NOWHERE] * participants).start()
    for who in range(participants):
        accept_delivery(delivery=claim(world.delivery("TRAINING_START", who)))
    return world


def test_a_claim_counts_the_attempt_and_keeps_others_away() -> None:
    world = World([NOWHERE]).start()
    claimed = claim(world.delivery("TRAINING_START"))
    assert claimed.attempts == 1
    assert claimed.last_attempt_at is not None
    assert claim_delivery(delivery_id=claimed.pk) is None


def test_what_a_killed_worker_had_claimed_is_due_again_when_the_lease_ends() -> None:
    claimed = claim(World([NOWHERE]).start().delivery("TRAINING_START"))
    assert claimed.next_attempt_at is not None
    assert claimed.next_attempt_at - timezone.now() > timedelta(seconds=10)  # longer than an attempt may take
    make_due(claimed)
    Delivery.objects.update(enqueued_at=timezone.now() - timedelta(seconds=61))
    assert claim_due_deliveries() == [claimed.pk]
    assert claim(claimed).attempts == 2


def test_clocks_that_differ_a_little_lose_no_time() -> None:
    start = World([NOWHERE]).start().delivery("TRAINING_START")
    Delivery.objects.filter(pk=start.pk).update(next_attempt_at=timezone.now() + timedelta(seconds=0.8))
    assert claim_delivery(delivery_id=start.pk) is not None


def test_silence_at_an_attempt_whose_lease_has_ended_is_not_counted() -> None:
    world = World([NOWHERE]).start()
    slow = claim(world.delivery("TRAINING_START"))
    make_due(slow)
    later = claim(slow)
    assert leave_unanswered(delivery=slow, error="No answer.") is None
    later.refresh_from_db()
    assert (later.attempts, later.last_error) == (2, "")
    assert leave_unanswered(delivery=later, error="No answer.") == 8


def test_an_acceptance_counts_however_late_it_is_heard_of() -> None:
    world = World([NOWHERE]).start()
    slow = claim(world.delivery("TRAINING_START"))
    make_due(slow)
    later = claim(slow)
    accept_delivery(delivery=slow)
    assert leave_unanswered(delivery=later, error="No answer.") is None
    assert world.statuses()[0] == ("TRAINING_START", "accepted")


def test_a_rejection_of_a_round_start_that_was_superseded_meanwhile_has_no_consequences() -> None:
    world = told_world(2)
    sent = claim(world.delivery("UPDATE_ROUND_START"))
    stop_training(training_id=world.training.pk, user=world.actor)
    reject_delivery(delivery=sent, reason="Status 500.")
    assert world.takes_part()
    assert world.delivery("UPDATE_ROUND_START").status == "superseded"


@pytest.mark.parametrize("other", [{"round": 1}, {"kind": "test"}], ids=["another round", "another phase"])
def test_a_rejection_of_a_round_start_other_than_the_open_one_has_no_consequences(other: dict[str, Any]) -> None:
    world = told_world()
    start = claim(world.delivery("UPDATE_ROUND_START"))
    make_about(start, **other)
    reject_delivery(delivery=start, reason="Declined.")
    assert world.training.participants.count() == 1
    start.refresh_from_db()
    assert start.status == "rejected"


def test_silence_at_a_round_start_that_was_superseded_meanwhile_has_no_consequences() -> None:
    world = told_world(2)
    sent = claim(world.delivery("UPDATE_ROUND_START"))
    remove_participants(training_id=world.training.pk, user=world.actor, user_ids=[world.people[0].pk])
    assert leave_unanswered(delivery=sent, error="No answer.", is_permanent=True) is None
    assert world.now.state == "O"
    assert world.events(EventKind.DELIVERY_FAILED) == []


def test_who_was_removed_and_came_back_is_told_of_both_in_order() -> None:
    world = told_world(2)
    person = world.people[0].pk
    remove_participants(training_id=world.training.pk, user=world.actor, user_ids=[person])
    add_participants(training_id=world.training.pk, user=world.actor, user_ids=[person])
    heard = []
    for _ in range(3):
        Delivery.objects.update(enqueued_at=None)
        first = Delivery.objects.get(pk__in=claim_due_deliveries(), receiver=person)
        heard.append(first.notification_type)
        accept_delivery(delivery=claim(first))
    assert heard == ["CLIENT_REMOVED", "TRAINING_START", "UPDATE_ROUND_START"]


def test_after_a_resume_who_could_not_be_reached_gets_all_retries_again() -> None:
    world = told_world()
    leave_unanswered(delivery=claim(world.delivery("UPDATE_ROUND_START")), error="No answer.", is_permanent=True)
    assert world.now.state == "E"
    resume_training(training_id=world.training.pk, user=world.actor)
    again = claim(world.delivery("UPDATE_ROUND_START"))
    assert leave_unanswered(delivery=again, error="No answer.") == 2


def test_the_error_of_the_last_attempt_is_kept() -> None:
    world = World([NOWHERE]).start()
    leave_unanswered(delivery=claim(world.delivery("TRAINING_START")), error="Connection refused.")
    assert world.delivery("TRAINING_START").last_error == "Connection refused."


def test_a_sweep_takes_only_the_first_of_each_receiver_and_training() -> None:
    world = World([NOWHERE, NOWHERE]).start()
    Delivery.objects.update(enqueued_at=None)
    assert claim_due_deliveries() == sorted(world.delivery("TRAINING_START", who).pk for who in (0, 1))


def test_to_accept_settles() -> None:
    world = World([""]).start()
    acknowledge(user=world.people[0], notification_id=world.delivery("UPDATE_ROUND_START").uuid, accept=True)
    accepted = world.delivery("UPDATE_ROUND_START")
    assert accepted.status == "accepted"
    assert accepted.settled_at is not None
    assert world.takes_part()


def test_to_reject_the_start_of_a_round_is_to_leave_the_training() -> None:
    world = World(["", ""]).start()
    person = world.people[0]
    acknowledge(user=person, notification_id=world.delivery("UPDATE_ROUND_START").uuid, accept=False)
    assert not world.takes_part()
    [event] = world.events(EventKind.PARTICIPANT_REJECTED)
    assert event.user == person
    assert (event.message, event.figures) == ("p0 rejected UPDATE_ROUND_START.", {"error": "Declined."})


def test_to_reject_another_type_has_no_consequences() -> None:
    world = World(["", ""]).start()
    acknowledge(user=world.people[0], notification_id=world.delivery("TRAINING_START").uuid, accept=False)
    assert world.takes_part()
    assert world.delivery("TRAINING_START").status == "rejected"


def test_a_second_acknowledgement_changes_nothing() -> None:
    world = World(["", ""]).start()
    identifier = world.delivery("UPDATE_ROUND_START").uuid
    acknowledge(user=world.people[0], notification_id=identifier, accept=True)
    acknowledge(user=world.people[0], notification_id=identifier, accept=False)
    assert world.takes_part()
    assert world.delivery("UPDATE_ROUND_START").status == "accepted"


def test_only_the_receiver_can_acknowledge() -> None:
    world = World(["", ""]).start()
    identifier = world.delivery("TRAINING_START").uuid
    for user in (world.actor, world.people[1]):
        with pytest.raises(EntityNotFound, match=f"Notification {identifier} not found."):
            acknowledge(user=user, notification_id=identifier, accept=True)


def test_an_unknown_id_is_not_found() -> None:
    user = make_user("somebody")
    with pytest.raises(EntityNotFound):
        acknowledge(user=user, notification_id=uuid4(), accept=True)
