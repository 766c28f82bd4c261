"""Deliveries are written with their round, and those of earlier rounds are superseded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from fl_server_core.models import Delivery, DeliveryStatus, NotificationType, Training, User
from fl_server_core.selectors.expendable import settled_deliveries
from fl_server_core.services.deliveries import announce_round, notify, supersede
from fl_server_core.services.retention import remove_rows
from fl_server_core.signals import deliveries_due
from tests.builders.deliveries import rounds_told_to
from tests.builders.rows import make_round, make_running, make_user


@pytest.fixture
def training(people: list[User]) -> Training:
    return make_running(make_user("actor"), people)


@pytest.fixture
def told() -> Iterator[list[list[int]]]:
    """The ids that each signal carried."""
    heard: list[list[int]] = []

    def listen(delivery_ids: list[int], **_others: Any) -> None:
        heard.append(delivery_ids)

    deliveries_due.connect(listen)
    yield heard
    deliveries_due.disconnect(listen)


def announce(training: Training, people: list[User], number: int = 0) -> None:
    announce_round(
        training=training,
        row=make_round(training, number=number),
        notification=NotificationType.UPDATE_ROUND_START,
        model_ids={person.pk: training.model_id for person in people},
    )


def statuses() -> list[tuple[str, str, str]]:
    rows = Delivery.objects.order_by("id")
    return list(rows.values_list("receiver__username", "notification_type", "status"))


def test_each_receiver_gets_one_that_is_due_at_once(training: Training, people: list[User]) -> None:
    notify(training=training, receiver_ids=[person.pk for person in people], kind=NotificationType.CLIENT_REMOVED)
    for delivery in Delivery.objects.all():
        assert (delivery.body, delivery.training_uuid, delivery.round) == ({}, training.pk, None)
        assert not delivery.is_round_start
        assert delivery.next_attempt_at is not None
        assert delivery.next_attempt_at <= timezone.now()
    assert Delivery.objects.values("receiver").distinct().count() == 2


def test_an_announcement_names_round_and_model(training: Training, people: list[User]) -> None:
    announce(training, people, number=4)
    body = {"round": 4, "global_model_uuid": str(training.model_id)}
    assert [delivery.body for delivery in Delivery.objects.all()] == [body, body]
    assert rounds_told_to(people[0]) == [("UPDATE_ROUND_START", 4)]


def test_a_new_announcement_supersedes_what_its_receivers_have_not_heard(
    training: Training, people: list[User]
) -> None:
    notify(training=training, receiver_ids=[people[0].pk], kind=NotificationType.TRAINING_START)
    announce(training, people)
    announce(training, people[:1], number=1)
    assert statuses() == [
        ("p0", "TRAINING_START", "pending"),
        ("p0", "UPDATE_ROUND_START", "superseded"),
        ("p1", "UPDATE_ROUND_START", "pending"),
        ("p0", "UPDATE_ROUND_START", "pending"),
    ]


def test_only_announcements_of_this_training_that_wait_are_superseded(training: Training, people: list[User]) -> None:
    announce(training, people)
    Delivery.objects.filter(receiver=people[1]).update(status=DeliveryStatus.ACCEPTED)
    other = make_running(make_user(), people)
    announce(other, people[:1])
    supersede(training_id=training.pk)
    assert [status for _who, _kind, status in statuses()] == ["superseded", "accepted", "pending"]


@pytest.mark.django_db(transaction=True)
def test_they_are_told_to_the_senders_after_the_commit(
    training: Training, people: list[User], told: list[list[int]]
) -> None:
    with transaction.atomic():
        announce(training, people)
        assert told == []
    assert told == [list(Delivery.objects.order_by("id").values_list("pk", flat=True))]


@pytest.mark.django_db(transaction=True)
def test_nothing_is_told_of_what_was_rolled_back_or_has_no_receiver(
    training: Training, people: list[User], told: list[list[int]]
) -> None:
    with transaction.atomic():
        announce(training, people)
        transaction.set_rollback(True)
    announce(training, [])
    assert (told, Delivery.objects.count()) == ([], 0)


def test_what_was_settled_long_ago_is_purged_unless_its_round_is_open(training: Training, people: list[User]) -> None:
    announce(training, people)
    notify(training=training, receiver_ids=[people[0].pk], kind=NotificationType.CLIENT_REMOVED)
    notify(training=training, receiver_ids=[people[1].pk], kind=NotificationType.CLIENT_REMOVED)
    long_ago = timezone.now() - timedelta(days=11)
    settled = Delivery.objects.exclude(receiver=people[1], notification_type=NotificationType.CLIENT_REMOVED)
    settled.update(status=DeliveryStatus.ACCEPTED, settled_at=long_ago)

    assert remove_rows(settled_deliveries(timezone.now() - timedelta(days=12))) == 0
    assert remove_rows(settled_deliveries(timezone.now() - timedelta(days=10))) == 1
    assert statuses() == [
        (people[0].username, NotificationType.UPDATE_ROUND_START, DeliveryStatus.ACCEPTED),
        (people[1].username, NotificationType.UPDATE_ROUND_START, DeliveryStatus.ACCEPTED),
        (people[1].username, NotificationType.CLIENT_REMOVED, DeliveryStatus.PENDING),
    ]
    training.rounds.update(closed_at=timezone.now())
    assert remove_rows(settled_deliveries(timezone.now() - timedelta(days=10))) == 2
