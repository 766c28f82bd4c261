"""Metrics are kept whoever may read the model reports them, and submitted where a test round asks for them."""

from __future__ import annotations

import math
from uuid import uuid4

import pytest

from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models import Event, EventKind, GlobalModel, Metric, Training, User
from fl_server_core.services.metrics import delete_metrics, report_metrics, write_metrics
from tests.builders.clients import make_staff
from tests.builders.rounds import is_claimed, mark_claimed, mark_failed, submissions
from tests.builders.rows import make_metric, make_model, make_running, make_update, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def tested(people: list[User]) -> Training:
    """A training in a test round."""
    return make_running(make_user("actor"), people, kind="test")


def report(training: Training, reporter: User, *values: str | bytes) -> list[Metric]:
    metrics = [("accuracy", value) for value in values or ("0.5",)]
    report_metrics(model_id=training.model_id, reporter=reporter, metrics=metrics)
    return list(Metric.objects.filter(reporter=reporter))


def test_metrics_in_a_test_round_are_the_participant_s_submission(tested: Training, people: list[User]) -> None:
    (metric,) = report(tested, people[0])
    (submission,) = submissions(tested)
    assert submission.participant == people[0]
    assert metric.test_round == submission.round
    assert metric.version == GlobalModel.objects.get().current_version


def test_a_second_report_is_the_same_submission(tested: Training, people: list[User]) -> None:
    report(tested, people[0])
    assert len(report(tested, people[0])) == 2
    assert len(submissions(tested)) == 1


def test_metrics_that_come_after_the_claim_are_kept_and_do_not_count(tested: Training, people: list[User]) -> None:
    report(tested, people[0])
    mark_claimed(tested, lease_in=60)
    (late,) = report(tested, people[1])
    assert late.test_round is None
    assert late.version is not None
    assert [submission.participant for submission in submissions(tested)] == [people[0]]
    assert is_claimed(tested)


def test_metrics_of_who_does_not_take_part_are_kept_and_do_not_count(tested: Training) -> None:
    (metric,) = report(tested, tested.actor)
    assert metric.test_round is None
    assert submissions(tested) == []


def test_metrics_submit_to_rounds_that_ask_for_them_only(people: list[User]) -> None:
    for kind in ("update", "swag"):
        training = make_running(make_user(), people, kind=kind)
        report(training, people[0])
        assert submissions(training) == []


def test_metrics_of_a_failed_test_round_wait_for_no_resume(tested: Training, people: list[User]) -> None:
    mark_failed(tested)
    (metric,) = report(tested, people[0])
    assert metric.test_round is None
    assert submissions(tested) == []


def test_numbers_are_numbers_and_everything_else_is_bytes(tested: Training, people: list[User]) -> None:
    values = [metric.value for metric in report(tested, people[0], "0.25", "inf", "nan", "high", b"\x00\xff")]
    assert values[:2] == [0.25, math.inf]
    assert isinstance(values[2], float)
    assert math.isnan(values[2])
    assert values[3:] == [b"high", b"\x00\xff"]


def test_the_step_is_the_model_s_round_unless_given(tested: Training, people: list[User]) -> None:
    GlobalModel.objects.non_polymorphic().update(round=3)
    assert report(tested, people[0])[0].step == 3
    update = make_update(GlobalModel.objects.get(), people[1])
    write_metrics(model=update, reporter=people[1], metrics=[("loss", "1")], step=2)
    metric = Metric.objects.get(model=update)
    assert (metric.step, metric.version) == (2, None)


def test_outsiders_and_unknown_models_are_refused(tested: Training) -> None:
    with pytest.raises(NotAllowed):
        report(tested, make_user("outsider"))
    with pytest.raises(EntityNotFound):
        report_metrics(model_id=uuid4(), reporter=tested.actor, metrics=[])
    assert not Metric.objects.exists()


def test_deleted_metrics_leave_the_submission_and_an_event_for_each_model(tested: Training, people: list[User]) -> None:
    (answer,) = report(tested, people[0])
    kept = make_metric(tested.model)
    update = make_update(GlobalModel.objects.get(), people[1], round=4)
    losses = [make_metric(update, "loss"), make_metric(update, "f1")]
    alone = make_metric(make_model(make_user(), round=2), "mse")
    operator = make_staff()
    delete_metrics(metric_ids=[metric.pk for metric in (answer, *losses, alone)], user=operator)
    assert list(Metric.objects.all()) == [kept]
    assert [submission.participant for submission in submissions(tested)] == [people[0]]
    events = Event.objects.filter(kind=EventKind.METRICS_DELETED)
    found = {(event.training, event.model_id, event.round, tuple(event.figures["keys"])) for event in events}
    assert found == {
        (tested, tested.model_id, 0, ("accuracy",)),
        (tested, tested.model_id, 0, ("loss", "f1")),
        (None, alone.model_id, 2, ("mse",)),
    }
    assert {event.author for event in events} == {operator}


def test_of_metrics_that_are_gone_nothing_is_written() -> None:
    delete_metrics(metric_ids=[1], user=make_staff())
    assert not Event.objects.exists()


def test_owners_participants_and_outsiders_delete_no_metrics(tested: Training, people: list[User]) -> None:
    (metric,) = report(tested, people[0])
    for user in (people[0], tested.actor, make_user("outsider")):
        with pytest.raises(NotAllowed):
            delete_metrics(metric_ids=[metric.pk], user=user)
    assert Metric.objects.get() == metric
