"""Which deliveries a retry sends again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fl_server_core.models import Delivery, DeliveryStatus, Training, User
from fl_server_core.models.delivery import NotificationType
from fl_server_core.services.delivery_retries import retry_deliveries
from fl_server_core.services.trainings import discard_training
from fl_server_core.signals import deliveries_due
from tests.builders.clients import make_operator
from tests.builders.rounds import mark_completed, mark_failed, open_round_as, set_round
from tests.builders.rows import make_deliveries, make_delivery, make_running, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def training(anna: User) -> Training:
    return make_running(make_user("actor"), [anna])


def retry() -> int:
    return retry_deliveries(deliveries=Delivery.objects.all(), user=make_operator())


def test_what_was_given_up_is_as_new_and_goes_out(
    training: Training, anna: User, django_capture_on_commit_callbacks: Any
) -> None:
    told: list[list[int]] = []

    def listen(delivery_ids: list[int], **_others: Any) -> None:
        told.append(delivery_ids)

    settled: dict[str, Any] = {"status": DeliveryStatus.FAILED, "attempts": 6, "settled_at": timezone.now()}
    rows = [make_delivery(training, anna, **settled, last_attempt_at=timezone.now()) for _ in range(2)]
    deliveries_due.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            assert retry() == 2
    finally:
        deliveries_due.disconnect(listen)
    assert told == [[row.pk for row in rows]]
    for row in rows:
        uuid = row.uuid
        row.refresh_from_db()
        assert (row.status, row.attempts, row.settled_at, row.uuid) == (DeliveryStatus.PENDING, 0, None, uuid)
        assert row.next_attempt_at is not None
        assert row.next_attempt_at <= timezone.now()


def test_one_that_waits_for_its_next_try_is_due_at_once(training: Training, anna: User) -> None:
    now = timezone.now()
    row = make_delivery(
        training,
        anna,
        attempts=4,
        last_attempt_at=now - timedelta(seconds=60),
        next_attempt_at=now + timedelta(hours=1),
    )
    assert retry() == 1
    row.refresh_from_db()
    assert row.next_attempt_at is not None
    assert row.next_attempt_at <= timezone.now()


def test_one_that_is_on_its_way_is_left_alone(training: Training, anna: User) -> None:
    row = make_delivery(training, anna, attempts=1, last_attempt_at=timezone.now())
    assert retry() == 0
    row.refresh_from_db()
    assert row.attempts == 1


@pytest.mark.parametrize("status", [DeliveryStatus.ACCEPTED, DeliveryStatus.REJECTED, DeliveryStatus.SUPERSEDED])
def test_one_that_is_settled_otherwise_is_left_alone(training: Training, anna: User, status: str) -> None:
    row = make_delivery(training, anna, status=status)
    assert retry() == 0
    row.refresh_from_db()
    assert row.status == status


@pytest.mark.parametrize(
    "change",
    [lambda training: open_round_as(training, "test"), mark_failed, mark_completed],
    ids=["another kind", "failed", "completed"],
)
def test_the_start_of_a_round_that_is_not_open_any_more_is_left_alone(
    training: Training, anna: User, change: Callable[[Training], None]
) -> None:
    make_delivery(training, anna, status=DeliveryStatus.FAILED)
    change(training)
    assert retry() == 0


def test_the_start_of_an_earlier_round_is_left_alone(training: Training, anna: User) -> None:
    make_delivery(training, anna, status=DeliveryStatus.FAILED)
    set_round(training, 1)
    assert retry() == 0


def test_the_news_of_a_training_that_is_gone_goes_out(training: Training, anna: User) -> None:
    discard_training(training.pk, author_id=training.actor_id)
    removed = Delivery.objects.get(notification_type=NotificationType.CLIENT_REMOVED)
    Delivery.objects.filter(pk=removed.pk).update(status=DeliveryStatus.FAILED, attempts=6)
    assert retry() == 1
    removed.refresh_from_db()
    assert (removed.status, removed.attempts, removed.training) == (DeliveryStatus.PENDING, 0, None)


def test_more_deliveries_than_a_statement_takes_go_out(training: Training, anna: User) -> None:
    make_deliveries(1100, training, anna, NotificationType.TRAINING_START, status=DeliveryStatus.FAILED)
    assert retry() == 1100
    assert Delivery.objects.filter(status=DeliveryStatus.PENDING, attempts=0).count() == 1100
