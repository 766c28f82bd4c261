"""What alert rules are about: decided from rows alone, so that it does not matter who looks, when, or how often."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import (
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Value,
)

from fl_server_core import policies
from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models.alert import Alert, AlertCondition, AlertRule, AlertTrainings
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.round import Round
from fl_server_core.models.training import RUNNING_STATES, Training
from fl_server_core.models.user import User

HORIZON = timedelta(days=7)
"""A server that was off for longer does not tell what happened before."""
AT_ONCE = 500
KINDS = {
    AlertCondition.FAILED: (EventKind.FAILED,),
    AlertCondition.FINISHED: (EventKind.FINISHED, EventKind.STOPPED),
}
RULES = {
    AlertTrainings.OWN: "training__actor__alert_rules",
    AlertTrainings.TAKING_PART: "training__participants__alert_rules",
    AlertTrainings.ONE: "training__alert_rules",
}
"""From an event or a round to the rules that may be about it."""
MODEL_NAME = "training__model__globalmodel__name"


class Minutes(Func):
    """So many minutes as a duration. SQLite keeps durations in microseconds, and multiplies none."""

    template = "(%(expressions)s * INTERVAL '1 minute')"
    output_field = DurationField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="(%(expressions)s * 60000000)", **context)


def alert_rules_of(user: User) -> QuerySet[AlertRule]:
    """The user's rules, oldest first."""
    return AlertRule.objects.filter(user=user)


def get_alert_rule_of(user: User, rule_id: UUID) -> AlertRule:
    """Raises EntityNotFound if the user has no such rule."""
    rule = alert_rules_of(user).filter(pk=rule_id).first()
    if rule is None:
        raise EntityNotFound("Alert rule", rule_id)
    return rule


def matches(now: datetime) -> Iterator[tuple[AlertRule, Any]]:
    """Each active rule with an event or a round that it is about and that has no alert yet.

    An event or a round has `model_name`. At most AT_ONCE of each kind; the rest is found the next time.
    """
    active = AlertRule.objects.filter(active=True, user__is_active=True)
    for condition, trainings in active.values_list("condition", "trainings").order_by().distinct():
        rules = active.filter(condition=condition, trainings=trainings).select_related("user")
        rows, since = _candidates(AlertCondition(condition), now)
        if trainings == AlertTrainings.ALL:
            found = [pair for rule in rules if _sees_all(rule) for pair in _of_one_rule(rows, since, rule, now)]
        else:
            found = list(_of_path(rows, since, rules, RULES[AlertTrainings(trainings)], now))
        yield from (pair for pair in found if _may_know(*pair))


def _candidates(condition: AlertCondition, now: datetime) -> tuple[QuerySet[Any], str]:
    """Rows that rules of this condition may be about, and the name of the time that decides."""
    if condition == AlertCondition.WAITING:
        # One that a worker has claimed waits for nobody.
        waiting = Round.objects.filter(opened_at__isnull=False, closed_at=None, claim=None)
        rows: QuerySet[Any] = waiting.filter(training__state__in=RUNNING_STATES)
        name = "opened_at"
    else:
        rows = Event.objects.filter(kind__in=KINDS[condition], at__gte=now - HORIZON, training__isnull=False)
        name = "at"
    return rows.select_related("training").annotate(model_name=F(MODEL_NAME)).order_by("pk"), name


def _of_path(
    rows: QuerySet[Any], since: str, rules: QuerySet[AlertRule], path: str, now: datetime
) -> Iterator[tuple[AlertRule, Any]]:
    joined = rows.annotate(
        rule_id=F(f"{path}__pk"), rule_since=F(f"{path}__active_since"), rule_minutes=F(f"{path}__minutes")
    ).filter(rule_id__in=rules.values("pk"))
    found = list(_timely(joined, since, now, F("rule_since"), F("rule_minutes"))[:AT_ONCE])
    known = rules.in_bulk({row.rule_id for row in found})
    yield from ((known[row.rule_id], row) for row in found if row.rule_id in known)


def _of_one_rule(rows: QuerySet[Any], since: str, rule: AlertRule, now: datetime) -> Iterator[tuple[AlertRule, Any]]:
    joined = rows.annotate(rule_id=Value(rule.pk))
    found = _timely(joined, since, now, Value(rule.active_since), Value(rule.minutes or 0))
    yield from ((rule, row) for row in found[:AT_ONCE])


def _timely(rows: QuerySet[Any], since: str, now: datetime, active_since: Any, minutes: Any) -> QuerySet[Any]:
    """Those without an alert that happened while the rule was active, or that have waited for so many minutes."""
    is_round = since == "opened_at"
    own = {"round" if is_round else "event": OuterRef("pk")}
    new = rows.filter(~Exists(Alert.objects.filter(rule=OuterRef("rule_id"), **own)))
    if not is_round:
        return new.filter(at__gte=active_since)
    latest = ExpressionWrapper(Value(now) - Minutes(minutes), output_field=DateTimeField())
    return new.filter(opened_at__lte=latest)


def _sees_all(rule: AlertRule) -> bool:
    return policies.permits(rule.user, "view", Training)


def _may_know(rule: AlertRule, row: Any) -> bool:
    """A rule about one training outlives its user's part in it."""
    return rule.trainings != AlertTrainings.ONE or policies.may_read_training(rule.user, row.training)


def awaited_names(row: Round) -> list[str]:
    """The participants of whom an open round has no submission, by name."""
    submitted = row.submissions.values("participant")
    people = row.training.participants.exclude(pk__in=submitted)
    return list(people.order_by("username").values_list("username", flat=True))


def rules_with_message_due(now: datetime) -> QuerySet[AlertRule]:
    """Active rules that have something to tell and may send a message now."""
    is_time = Q(next_message_at=None) | Q(next_message_at__lte=now)
    untold = Alert.objects.filter(rule=OuterRef("pk"), sent_at=None)
    return AlertRule.objects.filter(is_time, Exists(untold), active=True, user__is_active=True)
