"""How long rounds took, and what for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fl_server_core.models import Round, Training
from fl_server_core.selectors.durations import Duration, notifying_seconds, round_durations
from tests.builders.rows import make_delivery, make_round, make_running, make_user
from tests.builders.world import World

pytestmark = pytest.mark.django_db
START = timezone.now()


def after(seconds: float) -> Any:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def training(db: None) -> Training:
    return make_running(make_user("actor"), [make_user("anna"), make_user("ben")])


def close(training: Training, number: int, seconds: float, kind: str = "update", **figures: float) -> Round:
    fields = {"opened_at": START, "closed_at": after(seconds), "outcome": "closed", "figures": figures}
    return make_round(training, kind, number, **fields)


def test_a_round_waits_while_it_neither_tells_nor_computes(training: Training) -> None:
    close(training, 0, 100.0, notifying_seconds=2.0, computing_seconds=10.0)
    (found,) = round_durations(training)
    assert found == Duration("update", 0, 100.0, 2.0, 10.0)
    assert found.waiting == 88.0


def test_the_parts_never_take_longer_than_the_round(training: Training) -> None:
    close(training, 0, 10.0, notifying_seconds=9.0, computing_seconds=4.0)
    close(training, 1, 1.0, notifying_seconds=9.0, computing_seconds=4.0)
    first, second = round_durations(training)
    assert (first.waiting, first.notifying, first.computing) == (0.0, 6.0, 4.0)
    assert (second.waiting, second.notifying, second.computing) == (0.0, 0.0, 1.0)


def test_of_an_old_round_only_the_whole_time_is_known_and_abandoned_ones_are_left_out(training: Training) -> None:
    close(training, 0, 100.0)
    row = close(training, 1, 5.0)
    Round.objects.filter(pk=row.pk).update(outcome="abandoned")
    (found,) = round_durations(training)
    assert (found.seconds, found.waiting, found.notifying, found.computing) == (100.0, None, None, None)


def test_the_last_to_be_told_counts_and_reminders_do_not(training: Training) -> None:
    anna, ben = training.participants.order_by("username")
    for receiver, seconds, status in (
        (anna, 3.0, "accepted"),
        (ben, 7.0, "accepted"),
        (ben, 60.0, "accepted"),  # a reminder
        (anna, 80.0, "failed"),
    ):
        make_delivery(training, receiver, status=status, settled_at=after(seconds))
    row = training.rounds.get()
    row.opened_at = START
    assert notifying_seconds(row) == 7.0


def test_nobody_was_told(training: Training) -> None:
    assert notifying_seconds(training.rounds.get()) == 0.0


def test_a_worker_that_closes_a_round_keeps_what_it_took() -> None:
    world = World(2).start()
    world.update(0, 1.0)
    world.update(1, 1.0)
    Round.objects.update(opened_at=timezone.now() - timedelta(seconds=50))
    for delivery in world.training.deliveries.filter(round__number=0):
        delivery.status, delivery.settled_at = "accepted", timezone.now() - timedelta(seconds=20)
        delivery.save()
    world.advance()
    (found,) = round_durations(world.training)
    assert found.seconds == pytest.approx(50, abs=5)
    assert found.notifying == pytest.approx(30, abs=5)
    assert found.notifying is not None
    assert found.computing is not None
    assert 0 < found.computing < 10
    assert found.waiting == pytest.approx(found.seconds - found.notifying - found.computing)
