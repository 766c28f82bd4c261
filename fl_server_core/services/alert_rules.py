from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from fl_server_core import policies
from fl_server_core.exceptions import BudgetSpent, EntityNotFound, InvalidRequest, NotAllowed
from fl_server_core.models.alert import AlertChannel, AlertCondition, AlertRule, AlertTrainings
from fl_server_core.models.event import EventKind
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.trainings import get_readable_training
from fl_server_core.services.history import record

NO_EMAIL = "This server sends no e-mail (FL_EMAIL_HOST). Choose the channel webhook."
NO_ADDRESS = "Your account has no e-mail address. Set one with PATCH /api/users/myself/, or choose the channel webhook."
SUBJECT = ("condition", "trainings", "training_id", "minutes")


def create_alert_rule(*, user: User, training_id: UUID | None = None, **values: Any) -> AlertRule:
    """Make a rule of a user. values: columns of AlertRule.

    Raises:
        InvalidRequest: the values do not go together, or the channel can't be used.
        EntityNotFound, NotAllowed: no such training, or the user may not read it, or not all of them.
        BudgetSpent: the account has as many rules as it may.
    """
    rule = AlertRule(user=user, training_id=training_id, active_since=timezone.now(), **values)
    _require_sense(rule)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # so that two requests don't both find room
        _refuse_more(user)
        rule.save()
        _record(rule, EventKind.CREATED, user)
    return rule


def edit_alert_rule(*, rule_id: UUID, author: User, **changes: Any) -> AlertRule:
    """Change a rule. With another subject, or switched on again, it begins anew: nothing earlier is told.

    Raises:
        EntityNotFound: no such rule, or training.
        NotAllowed: the author may not change it, or its user may not read the training.
        InvalidRequest: the values do not go together, or the channel can't be used.
    """
    with transaction.atomic():
        rule = _lock(rule_id, author)
        old = {name: getattr(rule, name) for name in (*SUBJECT, "active")}
        for name, value in changes.items():
            setattr(rule, name, value)
        _require_sense(rule)
        if any(getattr(rule, name) != old[name] for name in SUBJECT) or (rule.active and not old["active"]):
            rule.active_since = timezone.now()
            rule.alerts.filter(sent_at=None).delete()
        rule.save(update_fields=[*changes, "active_since"])
        _record(rule, EventKind.EDITED, author, changed=sorted(changes))
    return rule


def delete_alert_rule(*, rule_id: UUID, author: User) -> None:
    """Raises EntityNotFound, or NotAllowed for a user who may not delete it."""
    with transaction.atomic():
        rule = _lock(rule_id, author, "delete")
        rule.delete()
        _record(rule, EventKind.DELETED, author)


def _record(rule: AlertRule, kind: EventKind, author: User, **figures: Any) -> None:
    message = f"alert rule: {rule}"
    record(training=None, kind=kind, user_id=rule.user_id, author_id=author.pk, message=message, **figures)


def _lock(rule_id: UUID, author: User, action: str = "change") -> AlertRule:
    rule = AlertRule.objects.select_for_update(of=("self",)).select_related("user").filter(pk=rule_id).first()
    if rule is None:
        raise EntityNotFound("Alert rule", rule_id)
    if not policies.may_manage_alert_rule(author, rule, action):
        raise NotAllowed
    return rule


def _refuse_more(user: User) -> None:
    limit, number = settings.FL_MAX_ALERT_RULES, user.alert_rules.count()
    if limit and number >= limit:
        raise BudgetSpent(
            f"You have {number} alert rules, and an account may have {limit} on this server (FL_MAX_ALERT_RULES). "
            "Delete one that you no longer need, or ask the server's staff for more."
        )


def _require_sense(rule: AlertRule) -> None:
    is_waiting, is_one = rule.condition == AlertCondition.WAITING, rule.trainings == AlertTrainings.ONE
    if is_waiting != (rule.minutes is not None):
        raise InvalidRequest("Give `minutes`, from 1 to 43200, with the condition waiting, and only with it.")
    if is_one != (rule.training_id is not None):
        raise InvalidRequest("Give `training`, an id, if `trainings` is one, and only then.")
    if (rule.channel == AlertChannel.WEBHOOK) != bool(rule.url):
        raise InvalidRequest("Give `url` with the channel webhook, and only with it.")
    if rule.channel == AlertChannel.EMAIL and rule.active:
        _require_email(rule.user)
    if rule.trainings == AlertTrainings.ALL and not policies.permits(rule.user, "view", Training):
        raise NotAllowed("Only staff who may view all trainings can have a rule about all of them.")
    if rule.training_id is not None:
        get_readable_training(rule.training_id, rule.user)


def _require_email(user: User) -> None:
    if not settings.FL_EMAIL_HOST:
        raise InvalidRequest(NO_EMAIL)
    if not user.email:
        raise InvalidRequest(NO_ADDRESS)
