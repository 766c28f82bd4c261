"""What alert rules are about, when they may tell it, and what is written down of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fl_server_core.models import Alert, AlertRule, EventKind, Round, Training, User
from fl_server_core.services.alerts import write_alerts
from tests.builders.rows import (
    make_alert_rule,
    make_event,
    make_running,
    make_submission,
    make_training,
    make_user,
)

pytestmark = pytest.mark.django_db


def texts(rule: AlertRule) -> list[str]:
    write_alerts()
    return [alert.text for alert in rule.alerts.all()]


def wait(training: Training, minutes: float) -> None:
    Round.objects.filter(training=training).update(opened_at=timezone.now() - timedelta(minutes=minutes))


def test_a_failure_is_told_with_its_round_and_reason(anna: User, running: Training) -> None:
    rule = make_alert_rule(anna)
    make_event(running, EventKind.FAILED, round=3, message="All participants have left.")
    assert texts(rule) == [f"Training “digits” ({running.pk}) failed in round 3: All participants have left."]


@pytest.mark.parametrize(
    ("kind", "words"), [("finished", "finished in round 2."), ("stopped", "was stopped in round 2.")]
)
def test_an_end_is_told_of_whatever_kind(anna: User, running: Training, kind: str, words: str) -> None:
    rule = make_alert_rule(anna, "finished")
    make_event(running, kind, round=2, message="not for telling")
    assert texts(rule) == [f"Training “digits” ({running.pk}) {words}"]


@pytest.mark.parametrize("condition", ["failed", "finished", "waiting"])
def test_other_events_are_told_to_nobody(anna: User, running: Training, condition: str) -> None:
    rule = make_alert_rule(anna, condition)
    for kind in EventKind:
        if kind not in ("failed", "finished", "stopped"):
            make_event(running, kind)
    assert texts(rule) == []


def test_a_round_that_waits_is_told_with_the_names_of_whom_it_waits_for(
    anna: User, ben: User, running: Training
) -> None:
    rule = make_alert_rule(anna, "waiting", minutes=30)
    wait(running, 29)
    assert texts(rule) == []
    wait(running, 31.5)
    assert texts(rule) == [f"Training “digits” ({running.pk}) has waited 31 minutes in round 0 for ben, cleo."]
    make_submission(running, ben, is_silent=True)
    assert len(texts(rule)) == 1  # once for each round
    patient = make_alert_rule(anna, "waiting", minutes=31)
    assert texts(patient) == [f"Training “digits” ({running.pk}) has waited 31 minutes in round 0 for cleo."]


def test_of_many_who_are_awaited_ten_are_named(anna: User) -> None:
    training = make_running(anna, [make_user(f"p{number:02}") for number in range(13)])
    wait(training, 60)
    (text,) = texts(make_alert_rule(anna, "waiting"))
    assert text.endswith("for p00, p01, p02, p03, p04, p05, p06, p07, p08, p09, 3 more.")


@pytest.mark.parametrize(
    "fields",
    [{"closed_at": timezone.now()}, {"opened_at": None}, {"claim": "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"}],
    ids=["closed", "not open yet", "being closed"],
)
def test_a_round_that_is_not_waiting_is_not_told(anna: User, running: Training, fields: dict[str, Any]) -> None:
    rule = make_alert_rule(anna, "waiting")
    wait(running, 60)
    Round.objects.update(**fields)
    assert texts(rule) == []


def test_the_round_of_a_failed_training_waits_for_nobody(anna: User, running: Training) -> None:
    rule = make_alert_rule(anna, "waiting")
    wait(running, 60)
    Training.objects.update(state="E")
    assert texts(rule) == []


def rules_by_trainings(user: User, training: Training, condition: str) -> dict[str, AlertRule]:
    return {
        name: make_alert_rule(user, condition, trainings=name, training=training if name == "one" else None)
        for name in ("own", "taking_part", "one", "all")
    }


@pytest.mark.parametrize("condition", ["failed", "finished", "waiting"])
@pytest.mark.parametrize(
    ("person", "told"),
    [
        ("anna", {"own", "one"}),
        ("ben", {"taking_part", "one"}),
        ("stranger", set()),
        ("clerk", {"one", "all"}),
        ("staff", set()),
    ],
)
def test_people_are_told_of_trainings_that_they_may_read(
    running: Training, condition: str, person: str, told: set[str]
) -> None:
    make_running(make_user("somebody"))
    if person in ("anna", "ben"):
        user = User.objects.get(username=person)
    else:
        user = make_user(person, is_staff=person != "stranger")
    if person == "clerk":
        user.user_permissions.add(Permission.objects.get(codename="view_training"))
    rules = rules_by_trainings(user, running, condition)
    make_event(running, "failed")
    make_event(running, "finished")
    wait(running, 60)
    write_alerts()
    of_training = Alert.objects.filter(training=running)
    assert {name for name, rule in rules.items() if of_training.filter(rule=rule).count() == 1} == told
    assert of_training.count() == len(told)


def test_an_event_is_told_once_however_often_somebody_looks(anna: User, running: Training) -> None:
    rule = make_alert_rule(anna)
    make_event(running, "failed")
    for _look in range(3):
        write_alerts()
    assert Alert.objects.count() == 1
    make_event(running, "failed")
    assert len(texts(rule)) == 2


def test_what_happened_before_the_rule_or_too_long_ago_is_not_told(anna: User, running: Training) -> None:
    event = make_event(running, "failed")
    rule = make_alert_rule(anna)
    assert texts(rule) == []
    old = timezone.now() - timedelta(days=8)
    AlertRule.objects.update(active_since=old - timedelta(days=1))
    type(event).objects.filter(pk=event.pk).update(at=old)
    assert texts(rule) == []
    type(event).objects.filter(pk=event.pk).update(at=timezone.now() - timedelta(days=6))
    assert len(texts(rule)) == 1


def test_rules_that_are_off_or_of_accounts_that_are_off_tell_nothing(anna: User, running: Training) -> None:
    rule = make_alert_rule(anna, active=False)
    make_event(running, "failed")
    assert texts(rule) == []
    AlertRule.objects.update(active=True)
    User.objects.filter(pk=anna.pk).update(is_active=False)
    assert texts(rule) == []


def test_a_name_of_many_lines_is_told_in_one(anna: User) -> None:
    training = make_training(anna, name="digits\n\nBcc: everybody " + "x" * 200)
    make_event(training, "failed")
    (text,) = texts(make_alert_rule(anna, active_since=timezone.now() - timedelta(minutes=1)))
    assert text.startswith("Training “digits Bcc: everybody xxx")
    assert "\n" not in text
    assert len(text) < 250


def test_looking_costs_as_many_statements_for_many_trainings_as_for_few_and_one_without_rules(anna: User) -> None:
    with CaptureQueriesContext(connection) as none:
        write_alerts()
    assert len(none) == 1
    counts = []
    for number in (1, 10):
        for _ in range(number):
            make_event(make_running(anna), "failed")
            make_alert_rule(make_user())
        make_alert_rule(anna, active_since=timezone.now() - timedelta(hours=1))
        with CaptureQueriesContext(connection) as some:
            write_alerts()
        counts.append(len(some))
    assert Alert.objects.count() == 1 + 10 + 11  # the first rule is told of the first event and of ten more
    assert counts[0] == counts[1]
