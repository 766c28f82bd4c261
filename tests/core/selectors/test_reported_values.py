"""Curves of a training: each reporter's values and their mean, step by step."""

from __future__ import annotations

import math

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fl_server_core.models import Metric, Training, User
from fl_server_core.selectors.reported_values import newest_metric, reported_values
from tests.builders.rows import make_metric, make_training, make_update, make_user
from tests.builders.versions import model_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def training(anna: User, ben: User) -> Training:
    return make_training(make_user("actor"), [anna, ben])


def curves(training: Training, after: int = 0) -> list[tuple[str, str, int, float]]:
    return [(point.key, point.reporter, point.step, point.value) for point in reported_values(training, after)]


def test_values_come_step_by_step_with_their_mean(anna: User, ben: User, training: Training) -> None:
    make_metric(training.model, "loss", 4.0, reporter=ben, step=2)
    make_metric(training.model, "loss", 1.0, reporter=anna, step=1)
    make_metric(training.model, "loss", 2.0, reporter=anna, step=2)
    assert curves(training) == [
        ("loss", "anna", 1, 1.0),
        ("loss", "", 1, 1.0),
        ("loss", "ben", 2, 4.0),
        ("loss", "anna", 2, 2.0),
        ("loss", "", 2, 3.0),
    ]


def test_of_one_who_reports_twice_the_mean_counts_the_last(anna: User, ben: User, training: Training) -> None:
    for value in (1.0, 5.0):
        make_metric(training.model, "loss", value, reporter=anna, step=1)
    make_metric(training.model, "loss", 7.0, reporter=ben, step=1)
    assert curves(training)[-1] == ("loss", "", 1, 6.0)


def test_updates_have_keys_of_their_own(anna: User, training: Training) -> None:
    make_metric(make_update(model_of(training), anna), "loss", 3.0, reporter=anna, step=1)
    make_metric(make_training(anna).model, "loss", 9.0, reporter=anna, step=1)  # of another training
    assert curves(training) == [("update/loss", "anna", 1, 3.0), ("update/loss", "", 1, 3.0)]


def test_the_mean_leaves_out_the_actor_unless_it_takes_part(anna: User, training: Training) -> None:
    make_metric(training.model, "loss", 1.0, reporter=anna, step=1)
    make_metric(training.model, "loss", 5.0, reporter=training.actor, step=1)
    make_metric(training.model, "loss", 99.0, step=1)
    assert curves(training)[-2:] == [("loss", "nobody", 1, 99.0), ("loss", "", 1, 1.0)]
    training.participants.add(training.actor)
    assert curves(training)[-1] == ("loss", "", 1, 3.0)


def test_after_a_metric_come_the_newer_ones_and_the_means_that_they_change(
    anna: User, ben: User, training: Training
) -> None:
    make_metric(training.model, "loss", 1.0, reporter=anna, step=1)
    make_metric(training.model, "accuracy", 1.0, reporter=anna, step=2)
    make_metric(training.model, "loss", 2.0, reporter=anna, step=2)
    seen = newest_metric(training)
    assert curves(training, seen) == []
    make_metric(training.model, "loss", 4.0, reporter=ben, step=2)
    assert curves(training, seen) == [("loss", "ben", 2, 4.0), ("loss", "", 2, 3.0)]


def test_what_is_not_a_number_or_has_no_step_is_on_no_curve(anna: User, training: Training) -> None:
    make_metric(training.model, "plot", b"bytes", reporter=anna, step=1)
    make_metric(training.model, "loss", 1.0, reporter=anna)
    assert curves(training) == []
    assert newest_metric(training) == Metric.objects.latest("id").pk
    assert newest_metric(make_training(anna)) == 0


def test_infinities_of_both_signs_have_no_mean(anna: User, ben: User, training: Training) -> None:
    for reporter, special in ((anna, "inf"), (ben, "-inf")):
        Metric.objects.create(model=training.model, key="loss", value_special=special, reporter=reporter, step=1)
    assert math.isnan(curves(training)[-1][-1])


def test_many_steps_cost_as_many_statements_as_one(anna: User, training: Training) -> None:
    counts = []
    for number in (1, 300):
        for step in range(number):
            make_metric(training.model, "loss", 1.0, reporter=anna, step=step)
        with CaptureQueriesContext(connection) as statements:
            curves(training)
        counts.append(len(statements))
    assert counts[0] == counts[1]
