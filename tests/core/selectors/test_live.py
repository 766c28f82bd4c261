"""The mark of a training, by which a page knows whether anything has changed."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models import Training, User
from fl_server_core.selectors.live import mark_now, watched_training
from tests.builders.clients import make_operator, staff_with
from tests.builders.rows import make_delivery, make_event, make_metric, make_running, make_submission, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def training(anna: User) -> Training:
    return make_running(make_user("actor"), [anna])


def test_the_cheap_mark_is_the_same_whatever_there_is(training: Training, anna: User) -> None:
    def marks() -> set[str]:
        return {mark_now(training.pk, training.actor), watched_training(training.pk, training.actor)[1]}

    found = [marks()]
    now = timezone.now()
    changes = (
        lambda: make_event(training),
        lambda: make_submission(training, anna, is_silent=True),
        lambda: make_delivery(training, anna, last_attempt_at=now, settled_at=now.replace(microsecond=0)),
        lambda: make_metric(training.model, reporter=anna, step=0),
        lambda: Training.objects.filter(pk=training.pk).update(locked=True),
        lambda: Training.objects.filter(pk=training.pk).update(state="C"),
        lambda: Training.objects.filter(pk=training.pk).update(last_update=now.replace(microsecond=0)),
    )
    for change in changes:
        change()
        found.append(marks())
    assert [len(both) for both in found] == [1] * len(found)
    assert len(set.union(*found)) == len(found)


def test_another_training_does_not_change_it(training: Training, anna: User) -> None:
    before = mark_now(training.pk, anna)
    other = make_running(training.actor, [anna])
    make_event(other)
    make_submission(other, anna, is_silent=True)
    assert mark_now(training.pk, anna) == before


def test_it_is_for_those_who_may_read_the_training(training: Training, anna: User) -> None:
    for reader in (training.actor, anna, staff_with("view_training"), make_operator()):
        assert mark_now(training.pk, reader) == watched_training(training.pk, reader)[1]
    for stranger in (make_user("outsider"), make_user("idle", is_staff=True)):
        with pytest.raises(NotAllowed):
            mark_now(training.pk, stranger)
    with pytest.raises(EntityNotFound):
        mark_now(uuid4(), training.actor)


def test_it_takes_one_statement_and_one_to_know_a_participant(
    training: Training, anna: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        mark_now(training.pk, training.actor)
    with django_assert_num_queries(2):
        mark_now(training.pk, anna)
