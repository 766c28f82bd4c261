"""Reminding those who are awaited."""

from __future__ import annotations

import pytest

from fl_server_core.exceptions import InvalidRequest, NotAllowed
from fl_server_core.models import Delivery, Event, EventKind, Training, User
from fl_server_core.services.reminders import remind_participants
from tests.builders.rounds import mark_claimed
from tests.builders.rows import make_delivery, make_running, make_submission, make_training, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def training(actor: User, anna: User, ben: User) -> Training:
    return make_running(actor, [anna, ben])


def told() -> list[tuple[str, str]]:
    return list(Delivery.objects.order_by("id").values_list("receiver__username", "status"))


def test_those_who_are_awaited_are_told_again(training: Training, actor: User, anna: User, ben: User) -> None:
    make_delivery(training, ben, status="accepted")
    make_submission(training, anna, is_silent=True)
    assert remind_participants(training_id=training.pk, user=actor) == [ben.pk]
    assert told() == [("ben", "accepted"), ("ben", "pending")]
    event = Event.objects.get(kind=EventKind.PARTICIPANT_REMINDED)
    assert (event.user, event.author, event.training) == (ben, actor, training)


def test_a_reminder_takes_the_place_of_one_that_is_still_on_its_way(training: Training, actor: User, ben: User) -> None:
    make_delivery(training, ben)
    remind_participants(training_id=training.pk, user=actor, user_ids=[ben.pk])
    assert told() == [("ben", "superseded"), ("ben", "pending")]


def test_who_has_submitted_is_not_reminded(training: Training, actor: User, anna: User) -> None:
    make_submission(training, anna, is_silent=True)
    with pytest.raises(InvalidRequest, match="Nobody of them is awaited"):
        remind_participants(training_id=training.pk, user=actor, user_ids=[anna.pk])
    assert told() == []


def test_nobody_is_reminded_of_a_round_that_is_being_closed_or_not_open(
    training: Training, actor: User, anna: User
) -> None:
    mark_claimed(training)
    for one in (training, make_training(actor, [anna])):
        with pytest.raises(InvalidRequest, match="doesn't wait for participants"):
            remind_participants(training_id=one.pk, user=actor)


def test_participants_and_outsiders_remind_nobody(training: Training, anna: User) -> None:
    for person in (anna, make_user("outsider")):
        with pytest.raises(NotAllowed):
            remind_participants(training_id=training.pk, user=person)
    assert told() == []
