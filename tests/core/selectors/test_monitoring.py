"""Figures of rows for programs that watch."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fl_server_core.models import Delivery, Round
from fl_server_core.models.delivery import DeliveryStatus
from fl_server_core.selectors.monitoring import row_figures
from tests.builders.rows import make_delivery, make_round, make_running, make_submission, make_training, make_user

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def test_nothing_gives_noughts() -> None:
    figures = row_figures()
    assert set(figures.trainings.values()) == {0}
    assert (figures.rounds, figures.due, figures.due_since, figures.awaited) == ({}, 0, None, 0)
    assert (figures.deliveries.due, figures.deliveries.oldest) == (0, None)
    assert set(figures.deliveries.settled.values()) == {0}


def test_rounds_count_as_they_stand_and_as_they_were_in_the_last_hour() -> None:
    actor, people = make_user("actor"), [make_user(f"p{number}") for number in range(3)]
    now = timezone.now()
    running = make_running(actor, people)
    make_submission(running, people[0], is_silent=True)
    failing = make_running(actor, people[:1])
    held, lapsed = make_running(actor, people[:1]), make_running(actor, people[:1])
    Round.objects.filter(training=failing).update(problem="OSError; see the workers' logs.")
    for training, until in ((held, now + HOUR), (lapsed, now - HOUR)):
        Round.objects.filter(training=training).update(claim=uuid4(), lease_until=until)
    done = make_training(actor, people)
    for number, (seconds, ago) in enumerate(((10, 5), (30, 5), (10_000, 61))):
        ended = now - timedelta(minutes=ago)
        started = ended - timedelta(seconds=seconds)
        make_round(done, "update", number, opened_at=started, closed_at=ended, outcome="closed")
    make_round(done, "test", 0, opened_at=now - HOUR / 2, closed_at=now, outcome="abandoned")
    figures = row_figures()
    update = figures.rounds["update"]
    assert (update.open, update.held, update.lapsed, update.failing) == (4, 1, 1, 1)
    assert (update.opened, dict(update.closed)) == (4 + 2, {"closed": 2})
    assert update.mean == pytest.approx(20)
    assert update.longest == pytest.approx(30)
    assert dict(figures.rounds["test"].closed) == {"abandoned": 1}
    assert (figures.due, figures.due_since) == (1, now - HOUR)  # the lapsed one
    assert figures.awaited == 2 + 1 + 1 + 1
    assert {state: number for state, number in figures.trainings.items() if number} == {"initial": 1, "ongoing": 4}


def test_deliveries_count_by_what_they_wait_for() -> None:
    now = timezone.now()
    training = make_training(make_user("actor"))
    reached, fetching = make_user("reached", message_endpoint="http://127.0.0.1:9/"), make_user("fetching")
    due, later, mute = (make_delivery(training, user) for user in (reached, reached, fetching))
    settled = [make_delivery(training, reached) for _ in range(3)]
    Delivery.objects.filter(pk=due.pk).update(next_attempt_at=now - HOUR, last_error="Nobody listens.")
    Delivery.objects.filter(pk=later.pk).update(next_attempt_at=now + HOUR)
    Delivery.objects.filter(pk=mute.pk).update(next_attempt_at=now - HOUR)
    for row, status, ago in zip(settled, ("accepted", "failed", "accepted"), (1, 1, 61), strict=True):
        at = now - timedelta(minutes=ago)
        Delivery.objects.filter(pk=row.pk).update(status=DeliveryStatus(status), settled_at=at)
    found = row_figures().deliveries
    assert (found.due, found.later, found.fetched, found.failing) == (1, 1, 1, 1)
    assert found.oldest == now - HOUR
    assert {status: number for status, number in found.settled.items() if number} == {"accepted": 1, "failed": 1}


def test_the_number_of_statements_does_not_grow() -> None:
    with CaptureQueriesContext(connection) as few:
        row_figures()
    actor, person = make_user("actor"), make_user("person")
    for _ in range(5):
        make_delivery(make_running(actor, [person]), person)
    with CaptureQueriesContext(connection) as many:
        row_figures()
    assert len(many) == len(few) <= 10
