"""The metrics of a training by round."""

from __future__ import annotations

import math

import pytest
from pytest_django import DjangoAssertNumQueries

from fl_server_core.models import GlobalModel, Metric, Training, User
from fl_server_core.selectors.curves import TESTS, UPDATES, Curve, metric_curves, participants_curves
from tests.builders.rows import make_metric, make_running, make_update, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def training(actor: User, anna: User, ben: User) -> Training:
    return make_running(actor, [anna, ben])


def report(training: Training, reporter: User, step: int, value: float, key: str = "loss") -> Metric:
    return make_metric(training.model, key, value, reporter=reporter, step=step)


def only_curve(training: Training, user: User) -> Curve:
    (curve,) = metric_curves(training, user)
    return curve


def test_a_curve_has_the_mean_and_the_spread_over_the_participants(
    training: Training, actor: User, anna: User, ben: User
) -> None:
    for step, of_anna, of_ben in ((0, 4.0, 2.0), (1, 1.0, 2.0)):
        report(training, anna, step, of_anna)
        report(training, ben, step, of_ben)
    curve = only_curve(training, actor)
    assert (curve.source, curve.key) == (TESTS, "loss")
    first, second = curve.points
    assert (first.number, first.mean, first.least, first.most, first.counted) == (0, 3.0, 2.0, 4.0, 2)
    assert first.deviation == pytest.approx(1.0)
    assert (second.number, second.mean, second.least, second.most) == (1, 1.5, 1.0, 2.0)
    assert second.deviation == pytest.approx(0.5)


def test_of_a_participant_who_reports_twice_the_last_value_counts(
    training: Training, actor: User, anna: User, ben: User
) -> None:
    for value in (9.0, 4.0):
        report(training, anna, 0, value)
    report(training, ben, 0, 2.0)
    (point,) = only_curve(training, actor).points
    assert (point.mean, point.most, point.counted) == (3.0, 4.0, 2)


def test_values_that_no_mean_can_take_in_are_left_out(training: Training, actor: User, anna: User, ben: User) -> None:
    report(training, anna, 0, 1e308)
    report(training, ben, 0, 2.0)
    special = report(training, anna, 1, 0.0)
    special.value = math.nan
    special.save()
    make_metric(training.model, "loss", b"bytes", reporter=anna, step=2)
    (point,) = only_curve(training, actor).points
    assert (point.number, point.mean, point.counted) == (0, 2.0, 1)


def test_each_participants_own_values_are_by_name_and_round(
    training: Training, actor: User, anna: User, ben: User
) -> None:
    report(training, anna, 0, 4.0)
    report(training, anna, 0, 3.0)
    report(training, ben, 2, 1.0)
    report(training, ben, 2, 8.0, key="other")
    assert participants_curves(training, actor, TESTS, "loss") == {"anna": {0: 3.0}, "ben": {2: 1.0}}


def test_of_the_updates_a_participant_sees_its_own_and_the_actor_all(
    training: Training, actor: User, anna: User, ben: User
) -> None:
    model = GlobalModel.objects.get(pk=training.model_id)
    for person, value in ((anna, 1.0), (ben, 3.0)):
        update = make_update(model, person, stored_as="x")
        make_metric(update, "loss", value, reporter=person, step=0)
    means = {person.username: only_curve(training, person).points[0].mean for person in (actor, anna, ben)}
    assert means == {"actor": 2.0, "anna": 1.0, "ben": 3.0}
    assert only_curve(training, anna).source == UPDATES


def test_an_outsider_sees_no_curve(training: Training, anna: User) -> None:
    report(training, anna, 0, 1.0)
    outsider = make_user("outsider")
    assert metric_curves(training, outsider) == []
    assert participants_curves(training, outsider, TESTS, "loss") == {}


def test_many_rounds_take_as_many_statements_as_few(
    training: Training, actor: User, anna: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for step in range(30):
        for key in ("loss", "accuracy"):
            report(training, anna, step, float(step), key)
    with django_assert_num_queries(2):
        assert [len(curve.points) for curve in metric_curves(training, actor)] == [30, 30]
