"""Alert rules of an account: /api/users/myself/alerts/."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from pytest_django import Settings

from fl_server_core.models import Alert, AlertRule, Event, Training, User
from fl_server_core.services.alerts import write_alerts
from tests.api.conftest import People
from tests.builders.rows import make_alert, make_alert_rule, make_event

PATH = "/api/users/myself/alerts/"
WEBHOOK = {"condition": "failed", "channel": "webhook", "url": "http://chat:8065/hooks/1"}


def make(client: Any, **fields: Any) -> Any:
    return client.post(PATH, {**WEBHOOK, **fields}, format="json")


def test_a_rule_is_made_listed_and_shown(people: People) -> None:
    made = make(people.participant.client, condition="waiting", minutes=30, trainings="taking_part")
    assert made.status_code == 201
    rule = made.json()
    assert {name: rule[name] for name in rule if name not in ("id", "created_at")} == {
        "condition": "waiting", "trainings": "taking_part", "training": None, "minutes": 30, "channel": "webhook",
        "url": "http://chat:8065/hooks/1", "period_minutes": 60, "active": True, "last_message_at": None,
        "failures": 0, "last_error": "",
    }  # fmt: skip
    assert people.participant.client.get(PATH).json() == [rule]
    assert people.participant.client.get(f"{PATH}{rule['id']}/").json() == rule


def test_rules_are_their_owners_alone(people: People) -> None:
    rule = make_alert_rule(people.participant.user)
    for client in (people.actor.client, people.outsider.client, people.staff.client):
        assert client.get(PATH).json() == []
        for call in (client.get, client.patch, client.delete):
            answer = call(f"{PATH}{rule.pk}/")
            assert (answer.status_code, answer.json()) == (400, {"detail": f"Alert rule {rule.pk} not found."})
    assert people.nobody.get(PATH).status_code == 401
    assert people.participant.client.delete(f"{PATH}{rule.pk}/").status_code == 204
    assert not AlertRule.objects.exists()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"condition": "waiting"}, "Give `minutes`, from 1 to 43200, with the condition waiting, and only with it."),
        ({"minutes": 5}, "Give `minutes`, from 1 to 43200, with the condition waiting, and only with it."),
        ({"trainings": "one"}, "Give `training`, an id, if `trainings` is one, and only then."),
        ({"url": ""}, "Give `url` with the channel webhook, and only with it."),
        ({"channel": "email"}, "Give `url` with the channel webhook, and only with it."),
        (
            {"channel": "email", "url": ""},
            "This server sends no e-mail (FL_EMAIL_HOST). Choose the channel webhook.",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_with_what_to_do(
    people: People, fields: dict[str, Any], sentence: str
) -> None:
    answer = make(people.actor.client, **fields)
    assert (answer.status_code, answer.json()) == (400, {"detail": sentence})


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"condition": "sleeps"}, "condition"),
        ({"trainings": "yours"}, "trainings"),
        ({"url": "ftp://chat/"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "http://a:b@chat/"}, "url"),
        ({"condition": "waiting", "minutes": 0}, "minutes"),
        ({"condition": "waiting", "minutes": 10**12}, "minutes"),
        ({"period_minutes": 4}, "period_minutes"),
        ({"period_minutes": 10081}, "period_minutes"),
        ({"training": "no-id"}, "training"),
        ({"last_error": "mine"}, "last_error"),
        ({"user": "somebody"}, "user"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(people: People, fields: dict[str, Any], name: str) -> None:
    answer = make(people.actor.client, **fields)
    assert (answer.status_code, list(answer.json())) == (400, [name])


def test_email_goes_to_the_accounts_own_address(people: People, settings: Settings) -> None:
    settings.FL_EMAIL_HOST = "mail"
    answer = make(people.actor.client, channel="email", url="")
    assert answer.json() == {
        "detail": "Your account has no e-mail address. Set one with PATCH /api/users/myself/, or choose the channel "
        "webhook."
    }
    User.objects.filter(pk=people.actor.user.pk).update(email="actor@example.org")
    assert make(people.actor.client, channel="email", url="").status_code == 201


def test_a_rule_about_one_training_needs_one_that_its_owner_may_read(people: People, training: Training) -> None:
    wanted = {"trainings": "one", "training": str(training.pk)}
    for client, status in (
        (people.actor.client, 201),
        (people.participant.client, 201),
        (people.staff.client, 201),
        (people.outsider.client, 403),
    ):
        assert make(client, **wanted).status_code == status
    unknown = make(people.actor.client, trainings="one", training=str(UUID(int=5)))
    assert (unknown.status_code, unknown.json()) == (400, {"detail": f"Training {UUID(int=5)} not found."})


def test_only_staff_who_may_view_trainings_have_rules_about_all(people: People) -> None:
    assert make(people.staff.client, trainings="all").status_code == 201
    answer = make(people.outsider.client, trainings="all")
    assert (answer.status_code, answer.json()) == (
        403,
        {"detail": "Only staff who may view all trainings can have a rule about all of them."},
    )


def test_an_account_has_as_many_rules_as_its_budget_says(people: People, settings: Settings) -> None:
    settings.FL_MAX_ALERT_RULES = 2
    assert [make(people.actor.client).status_code for _ in range(3)] == [201, 201, 507]
    assert "You have 2 alert rules, and an account may have 2" in make(people.actor.client).json()["detail"]
    assert make(people.outsider.client).status_code == 201
    settings.FL_MAX_ALERT_RULES = 0
    assert make(people.actor.client).status_code == 201


def test_a_change_is_checked_like_a_new_rule(people: People) -> None:
    rule = make(people.actor.client).json()
    refused = people.actor.client.patch(f"{PATH}{rule['id']}/", {"condition": "waiting"}, format="json")
    assert refused.status_code == 400
    assert AlertRule.objects.get().condition == "failed"
    changed = people.actor.client.patch(
        f"{PATH}{rule['id']}/", {"condition": "waiting", "minutes": 7, "period_minutes": 5}, format="json"
    )
    assert (changed.status_code, changed.json()["minutes"], changed.json()["period_minutes"]) == (200, 7, 5)


def test_a_rule_with_another_subject_or_switched_on_again_tells_of_nothing_earlier(
    people: People, training: Training
) -> None:
    rule = make_alert_rule(people.actor.user, active_since=timezone.now() - timedelta(hours=1))
    path = f"{PATH}{rule.pk}/"
    make_alert(rule, training)
    people.actor.client.patch(path, {"period_minutes": 30}, format="json")
    assert Alert.objects.count() == 1  # still to be told
    people.actor.client.patch(path, {"active": False}, format="json")
    make_event(training, "failed")
    make_event(training, "finished")
    people.actor.client.patch(path, {"active": True}, format="json")
    assert Alert.objects.count() == 0
    people.actor.client.patch(path, {"condition": "finished"}, format="json")
    assert write_alerts() == 0
    make_event(training, "finished")
    assert write_alerts() == 1


def test_rules_go_with_the_account_and_with_the_training(people: People, training: Training) -> None:
    make_alert_rule(people.actor.user, trainings="one", training=training)
    make_alert_rule(people.participant.user)
    training.delete()
    assert [rule.user for rule in AlertRule.objects.all()] == [people.participant.user]
    people.participant.user.delete()
    assert not AlertRule.objects.exists()


def test_every_change_of_a_rule_leaves_an_event_with_its_author(people: People) -> None:
    path = f"{PATH}{make(people.actor.client).json()['id']}/"
    people.actor.client.patch(path, {"active": False}, format="json")
    people.actor.client.patch(path, {"minutes": 0}, format="json")  # refused
    people.actor.client.delete(path)
    events = Event.objects.filter(message="alert rule: a training failed, by webhook").order_by("id")
    assert [(event.kind, event.user, event.author) for event in events] == [
        (kind, people.actor.user, people.actor.user) for kind in ("created", "edited", "deleted")
    ]
    assert events[1].figures == {"changed": ["active"]}
