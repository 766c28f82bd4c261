"""Alerts: written by whoever looks, collected, and told in one message for each rule and period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from fl_server_core.models.alert import Alert, AlertRule
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.round import Round
from fl_server_core.selectors.alerts import awaited_names, matches, rules_with_message_due

LARGEST_MESSAGE = 100
NAMES_SHOWN = 10
NAME_LENGTH = 100
TEXT_LENGTH = 1000
FIRST_PAUSE = timedelta(minutes=1)
DOINGS = {EventKind.FAILED: "failed", EventKind.FINISHED: "finished", EventKind.STOPPED: "was stopped"}


@dataclass(frozen=True)
class Message:
    """The alerts of one message. id: the same whenever the same alerts are told. lease_until: of this claim."""

    id: UUID
    rule: AlertRule
    alerts: list[Alert]
    lease_until: datetime


def write_alerts() -> int:
    """Write an alert for everything that a rule is about and that has none. May run twice at once.

    Returns: for how many matches.
    """
    now = timezone.now()
    rows = [_alert(rule, row, now) for rule, row in matches(now)]
    if rows:
        Alert.objects.bulk_create(rows, ignore_conflicts=True)  # somebody else may have been faster
    return len(rows)


def _alert(rule: AlertRule, row: Any, now: datetime) -> Alert:
    about = "event" if isinstance(row, Event) else "round"
    text = _text_of_event(row) if about == "event" else _text_of_round(row, now)
    return Alert(rule=rule, training_id=row.training_id, text=text, **{about: row})


def _title(row: Any) -> str:
    """The training, in one line: its model's name was written by somebody else than the reader."""
    name = " ".join(str(row.model_name or "").split())[:NAME_LENGTH]
    return f"Training “{name}” ({row.training_id})"


def _text_of_event(event: Any) -> str:
    where = "" if event.round is None else f" in round {event.round}"
    reason = f": {event.message}" if event.message and event.kind == EventKind.FAILED else "."
    return f"{_title(event)} {DOINGS[event.kind]}{where}{reason}"[:TEXT_LENGTH]


def _text_of_round(row: Any, now: datetime) -> str:
    minutes = int((now - row.opened_at).total_seconds() // 60)
    unit = "minute" if minutes == 1 else "minutes"
    return f"{_title(row)} has waited {minutes} {unit} in round {row.number} for {_people(row)}."[:TEXT_LENGTH]


def _people(row: Round) -> str:
    names = awaited_names(row)
    more = len(names) - NAMES_SHOWN
    return ", ".join([*names[:NAMES_SHOWN], *([f"{more} more"] if more > 0 else [])]) or "nobody"


def claim_message(*, rule_id: UUID, seconds: float) -> Message | None:
    """Begin to send a rule's message: None if there is nothing to tell, it is too early, or somebody else does so.

    seconds: how long nobody else may.
    """
    now = timezone.now()
    until = now + timedelta(seconds=seconds)
    with transaction.atomic():
        is_time = Q(next_message_at=None) | Q(next_message_at__lte=now)  # on the row itself, which may just change
        due = rules_with_message_due(now).filter(is_time, pk=rule_id)
        if not due.update(next_message_at=until):
            return None
        rule = AlertRule.objects.select_related("user").get(pk=rule_id)
        alerts = list(rule.alerts.filter(sent_at=None).order_by("pk")[:LARGEST_MESSAGE])
    key = uuid5(rule.pk, ",".join(str(alert.pk) for alert in alerts))
    return Message(key, rule, alerts, until)


def put_off_message(*, rule_id: UUID, seconds: float) -> None:
    """Wait before the next attempt; this is none."""
    until = timezone.now() + timedelta(seconds=seconds)
    rules_with_message_due(timezone.now()).filter(pk=rule_id).update(next_message_at=until)


def note_sent(message: Message) -> None:
    """The message is out. The next one may follow after the rule's period."""
    now = timezone.now()
    with transaction.atomic():
        Alert.objects.filter(pk__in=[alert.pk for alert in message.alerts]).update(sent_at=now)
        _own(message).update(
            next_message_at=now + timedelta(minutes=message.rule.period_minutes),
            last_message_at=now,
            failures=0,
            last_error="",
        )


def note_failure(message: Message, error: str, *, is_permanent: bool = False) -> None:
    """The message could not be sent. It is tried again after 1, 2, 4, … minutes, at most the rule's period."""
    period = timedelta(minutes=message.rule.period_minutes)
    pause = period if is_permanent else min(period, FIRST_PAUSE * 2 ** min(message.rule.failures, 16))
    _own(message).update(
        next_message_at=timezone.now() + pause, failures=F("failures") + 1, last_error=error[:TEXT_LENGTH]
    )


def _own(message: Message) -> Any:
    """The rule, if the claim is still the caller's."""
    return AlertRule.objects.filter(pk=message.rule.pk, next_message_at=message.lease_until)
