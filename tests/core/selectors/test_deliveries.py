from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fl_server_core.models import Delivery, DeliveryStatus, Training, User
from fl_server_core.selectors.deliveries import (
    next_in_line,
    pending_notifications,
    sendable,
    waited_behind_a_failure,
)
from fl_server_core.services.delivery_attempts import acknowledge
from tests.builders.rows import make_delivery, make_running, make_user
from tests.builders.world import NOWHERE, World

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna() -> User:
    return make_user("anna", message_endpoint=NOWHERE)


@pytest.fixture
def training(anna: User) -> Training:
    return make_running(make_user("actor"), [anna])


def post(training: Training, receiver: User, kind: str = "TRAINING_START", **fields: Any) -> Delivery:
    return make_delivery(training, receiver, kind, **{"next_attempt_at": timezone.now(), **fields})


def types_of(user: User) -> list[str]:
    return [delivery.notification_type for delivery in pending_notifications(user)]


def test_a_user_finds_what_is_not_acknowledged_oldest_first() -> None:
    world = World(["", ""]).start()
    person = world.people[0]
    assert types_of(person) == ["TRAINING_START", "UPDATE_ROUND_START"]
    acknowledge(user=person, notification_id=world.delivery("TRAINING_START").uuid, accept=True)
    assert types_of(person) == ["UPDATE_ROUND_START"]
    assert types_of(world.people[1]) == ["TRAINING_START", "UPDATE_ROUND_START"]
    assert types_of(world.actor) == []


def test_only_the_oldest_that_waits_of_a_receiver_and_training_may_go_out(training: Training, anna: User) -> None:
    other = make_running(make_user(), [anna])
    settled, first, _second = (post(training, anna, status=status) for status in ("accepted", "pending", "pending"))
    elsewhere = post(other, anna)
    assert set(sendable()) == {first, elsewhere}
    assert next_in_line(settled) == first
    Delivery.objects.filter(training=other).delete()
    assert next_in_line(elsewhere) is None


def test_what_is_not_due_yet_and_who_has_no_endpoint_is_left_out(training: Training, anna: User) -> None:
    now = timezone.now()
    post(training, anna, next_attempt_at=now + timedelta(seconds=2))
    post(training, make_user())
    assert not sendable(now).exists()
    assert sendable(now + timedelta(seconds=1)).count() == 1  # clocks differ by a second


@pytest.mark.parametrize(
    ("settled", "status", "expected"),
    [(1, "failed", True), (-1, "failed", False), (1, "rejected", False)],
    ids=["given up meanwhile", "given up before", "answered"],
)
def test_who_was_given_up_while_this_one_waited_is_known(
    training: Training, anna: User, settled: float, status: str, expected: bool
) -> None:
    earlier = post(training, anna, status=DeliveryStatus(status))
    later = post(training, anna)
    Delivery.objects.filter(pk=earlier.pk).update(settled_at=later.created_at + timedelta(seconds=settled))
    assert waited_behind_a_failure(later) is expected
    assert not waited_behind_a_failure(earlier)
