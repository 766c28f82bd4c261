"""When a rule tells its alerts: one sender at a time, tried again later, and what is purged."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fl_server_core.models import Alert, AlertRule, Round, Training, User
from fl_server_core.selectors.expendable import old_alerts
from fl_server_core.services.alerts import claim_message, note_failure, note_sent, put_off_message
from fl_server_core.services.retention import remove_rows
from tests.builders.rows import (
    make_alert,
    make_alert_rule,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def rule(anna: User, running: Training) -> AlertRule:
    """With two alerts that nobody was told of."""
    rule = make_alert_rule(anna, period_minutes=60)
    make_alert(rule, running, "First.")
    make_alert(rule, running, "Second.")
    return rule


def claim(rule: AlertRule) -> Any:
    return claim_message(rule_id=rule.pk, seconds=30)


def come_round(rule: AlertRule) -> float:
    """Let the time of the next message come. Returns: in how many minutes it would have been."""
    rule.refresh_from_db()
    assert rule.next_message_at is not None
    left = (rule.next_message_at - timezone.now()).total_seconds() / 60
    AlertRule.objects.filter(pk=rule.pk).update(next_message_at=timezone.now() - timedelta(seconds=1))
    return left


def test_a_message_has_all_that_was_not_told_and_is_one_persons_to_send(rule: AlertRule) -> None:
    message = claim(rule)
    assert [alert.text for alert in message.alerts] == ["First.", "Second."]
    assert claim(rule) is None


def test_after_a_message_the_next_waits_for_the_period_and_collects(rule: AlertRule, running: Training) -> None:
    note_sent(claim(rule))
    make_alert(rule, running, "Third.")
    make_alert(rule, running, "Fourth.")
    assert claim(rule) is None
    assert come_round(rule) == pytest.approx(60, abs=1)
    assert [alert.text for alert in claim(rule).alerts] == ["Third.", "Fourth."]


def test_there_is_no_message_without_news(rule: AlertRule) -> None:
    note_sent(claim(rule))
    come_round(rule)
    assert claim(rule) is None


def test_a_message_that_failed_is_tried_again_later_and_later_with_the_same_id(rule: AlertRule) -> None:
    pauses, ids = [], set()
    for _attempt in range(8):
        message = claim(rule)
        ids.add(message.id)
        note_failure(message, "Connection refused")
        pauses.append(round(come_round(rule)))
    rule.refresh_from_db()
    assert (pauses, len(ids)) == ([1, 2, 4, 8, 16, 32, 60, 60], 1)
    assert (rule.failures, rule.last_error, rule.last_message_at) == (8, "Connection refused", None)
    note_sent(claim(rule))
    rule.refresh_from_db()
    assert (rule.failures, rule.last_error) == (0, "")
    assert rule.alerts.filter(sent_at=None).count() == 0


def test_a_failure_for_good_waits_for_the_period(rule: AlertRule) -> None:
    note_failure(claim(rule), "Status 410.", is_permanent=True)
    assert come_round(rule) == pytest.approx(60, abs=1)


def test_one_whose_lease_has_run_out_leaves_the_rule_to_its_successor(rule: AlertRule) -> None:
    slow = claim(rule)
    come_round(rule)
    fast = claim(rule)
    note_failure(slow, "too slow")
    rule.refresh_from_db()
    assert (rule.failures, rule.next_message_at) == (0, fast.lease_until)


def test_putting_off_is_no_attempt(rule: AlertRule) -> None:
    put_off_message(rule_id=rule.pk, seconds=120)
    assert claim(rule) is None
    assert come_round(rule) == pytest.approx(2, abs=0.1)
    rule.refresh_from_db()
    assert rule.failures == 0


def test_a_message_holds_a_hundred_alerts_and_the_next_the_rest(rule: AlertRule, running: Training) -> None:
    for number in range(100):
        make_alert(rule, running, str(number))
    first = claim(rule)
    note_sent(first)
    come_round(rule)
    assert (len(first.alerts), [alert.text for alert in claim(rule).alerts]) == (100, ["98", "99"])


def test_old_alerts_are_purged_but_none_that_would_be_told_again(rule: AlertRule, running: Training) -> None:
    row = Round.objects.get(training=running)
    waiting = make_alert(rule, running, round=row)
    Alert.objects.update(created_at=timezone.now() - timedelta(days=5))
    assert remove_rows(old_alerts(timezone.now() - timedelta(days=1))) == 0
    Alert.objects.update(created_at=timezone.now() - timedelta(days=10))
    assert remove_rows(old_alerts(timezone.now() - timedelta(days=1))) == 2
    assert list(Alert.objects.all()) == [waiting]
    Round.objects.update(closed_at=timezone.now())
    assert remove_rows(old_alerts(timezone.now() - timedelta(days=1))) == 1
