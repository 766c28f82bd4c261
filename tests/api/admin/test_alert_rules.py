"""Alert rules in the admin: operators add their own, and change and delete those of others."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from fl_server_core.models import Alert, AlertRule, Event, User
from tests.api.admin.pages import act, list_url, page_url
from tests.builders.clients import browser_of, staff_with
from tests.builders.rows import make_alert, make_alert_rule, make_training

pytestmark = pytest.mark.django_db
ADD = "admin:fl_server_core_alertrule_add"
FIELDS = {
    "condition": "waiting", "minutes": "30", "trainings": "all", "channel": "webhook", "url": "http://chat:8065/",
    "period_minutes": "60", "active": "on",
}  # fmt: skip


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_a_rule_that_is_added_is_the_operators_own(operator: Client) -> None:
    assert operator.post(reverse(ADD), FIELDS, follow=True).status_code == 200
    rule = AlertRule.objects.get()
    assert (rule.user.username, rule.condition, rule.minutes, rule.trainings) == ("operator", "waiting", 30, "all")


def test_a_rule_without_sense_is_refused_with_a_message(operator: Client) -> None:
    answer = operator.post(reverse(ADD), {**FIELDS, "minutes": ""}, follow=True)
    assert "Give `minutes`" in messages_of(answer)[0]
    assert not AlertRule.objects.exists()


def test_a_rule_of_another_is_switched_off_and_deleted(operator: Client, anna: User) -> None:
    rule = make_alert_rule(anna)
    fields = {**FIELDS, "condition": "failed", "minutes": "", "trainings": "own", "url": rule.url}
    del fields["active"]
    operator.post(page_url(rule), fields, follow=True)
    rule.refresh_from_db()
    assert (rule.active, rule.user) == (False, anna)
    make_alert(rule, make_training(anna))
    act(operator, AlertRule, "delete_selected", rule, post="yes")
    assert not AlertRule.objects.exists()
    assert not Alert.objects.exists()
    authors = Event.objects.filter(user=anna, message__startswith="alert rule").values_list("kind", "author__username")
    assert list(authors) == [("edited", "operator"), ("deleted", "operator")]


def test_an_alert_is_found_by_its_rule(operator: Client, anna: User) -> None:
    training = make_training(anna)
    first, second = (make_alert_rule(anna) for _ in range(2))
    make_alert(first, training, "Of the first.")
    make_alert(second, training, "Of the second.")
    page = operator.get(page_url(first)).content.decode()
    address = f"{list_url(Alert)}?rule__id__exact={first.pk}"
    assert address in page
    found = operator.get(address).content.decode()
    assert "Of the first." in found
    assert "Of the second." not in found


def test_staff_see_rules_with_the_permission_only(anna: User) -> None:
    rule = make_alert_rule(anna)
    clerk = browser_of(staff_with("view_alertrule"))
    assert clerk.get(page_url(rule)).status_code == 200
    assert clerk.post(page_url(rule), FIELDS).status_code == 403
    assert browser_of(anna).get(page_url(rule)).status_code == 302
