"""What those see who watch the server."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from fl_server_core.models import Round, User
from fl_server_core.models.training import TrainingState
from fl_server_core.selectors import overview
from tests.builders.rows import (
    make_delivery,
    make_event,
    make_round,
    make_running,
    make_submission,
    make_training,
    make_user,
)

pytestmark = pytest.mark.django_db


def people(number: int) -> list[User]:
    return [make_user(f"clinic-{index}") for index in range(1, number + 1)]


def test_a_running_training_names_the_first_of_those_it_waits_for(actor: User) -> None:
    clinics = people(6)
    training = make_running(actor, clinics, name="lungs", target_num_updates=7)
    make_round(training, number=1, opened_at=timezone.now(), closed_at=timezone.now(), outcome="closed")
    make_submission(training, clinics[1], round=1, is_silent=True)
    for clinic in (clinics[0], clinics[4]):
        make_submission(training, clinic, is_silent=True)
    (row,) = overview.open_rounds()
    assert (row.name, row.number, row.target, row.expected, row.awaited) == ("lungs", 1, 7, 6, 4)
    assert row.names == ("clinic-2", "clinic-3", "clinic-4")


def test_the_number_of_statements_does_not_grow(actor: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    clinics = people(3)
    for index in range(5):
        make_running(actor, clinics, name=f"training-{index}")
    with django_assert_num_queries(2):
        assert [len(row.names) for row in overview.open_rounds()] == [3] * 5


def test_what_has_waited_longest_comes_first(actor: User) -> None:
    clinics = people(1)
    young, old = (make_running(actor, clinics, name=name) for name in ("young", "old"))
    Round.objects.filter(training=old).update(opened_at=timezone.now() - timedelta(hours=1))
    assert [row.training_id for row in overview.open_rounds()] == [old.pk, young.pk]


def test_a_training_in_error_tells_its_last_reason(actor: User) -> None:
    failed = make_training(actor, name="hearts", state=TrainingState.ERROR)
    make_event(failed, "failed", message="The disk is full.")
    make_event(failed, "failed", message="All participants have left.")
    stopped = make_training(actor, name="eyes", state=TrainingState.ERROR)
    reasons = {row.training_id: row.reason for row in overview.failed_trainings()}
    assert reasons == {failed.pk: "All participants have left.", stopped.pk: "Stopped by hand."}


def test_the_pace_counts_the_rounds_of_an_hour_and_of_a_day(actor: User) -> None:
    training = make_training(actor)
    now = timezone.now()
    ages = (timedelta(minutes=1), timedelta(minutes=59), timedelta(hours=2), timedelta(days=2))
    for number, age in enumerate(ages):
        make_round(training, number=number, opened_at=now - age, closed_at=now - age, outcome="closed")
    make_round(training, number=9, opened_at=now, closed_at=now, outcome="abandoned")
    pace = overview.pace(now)
    assert (pace.hour, pace.day, pace.last) == (2, 3, now - ages[0])


def test_notifications_that_fail_are_those_tried_in_vain_and_those_given_up_lately(actor: User) -> None:
    (anna,) = people(1)
    training = make_training(actor, [anna])
    now = timezone.now()
    make_delivery(training, anna)
    failing = make_delivery(training, anna, last_error="Connection refused")
    make_delivery(training, anna, status="failed", last_error="x", settled_at=now - timedelta(hours=23))
    make_delivery(training, anna, status="failed", last_error="x", settled_at=now - timedelta(hours=25))
    found = overview.notifications(now)
    assert (found.failed, found.failing, found.oldest) == (1, 1, failing.created_at)


def test_the_queue_tells_since_when_a_round_is_due(actor: User) -> None:
    (anna,) = people(1)
    complete, late, waiting = (make_running(actor, [anna], name=name) for name in ("complete", "late", "waiting"))
    now = timezone.now()
    assert overview.queue(now) == overview.Queue(0, None, 0)
    submission = make_submission(complete, anna, is_silent=True)
    Round.objects.filter(training=late).update(deadline=now + timedelta(hours=1))
    assert overview.queue(now) == overview.Queue(1, submission.submitted_at, 0)
    Round.objects.filter(training=late).update(deadline=now - timedelta(hours=1))
    assert overview.queue(now) == overview.Queue(2, now - timedelta(hours=1), 0)
    assert waiting.is_running
