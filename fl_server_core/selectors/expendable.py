"""The rows that may be removed, by the settings for retention. docs/backup.md lists the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.utils import timezone

from fl_server_core.models.alert import Alert
from fl_server_core.models.audit import AuditSeal
from fl_server_core.models.delivery import Delivery, DeliveryStatus
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.metric import Metric
from fl_server_core.models.model import LocalModel
from fl_server_core.models.round import Round
from fl_server_core.models.stored_file import StoredFile
from fl_server_core.models.token import AccessToken
from fl_server_core.models.training import Training, TrainingState
from fl_server_core.selectors.alerts import HORIZON


@dataclass(frozen=True)
class Retention:
    """One setting: days, 0 for ever. rows: the query for rows older than a moment; it may be repeated.

    is_noted: the trail says how many were removed, because somebody might look for them.
    """

    noun: str
    setting: str
    rows: Callable[[datetime], QuerySet[Any, Any]]
    is_noted: bool = False

    @property
    def days(self) -> int:
        return int(getattr(settings, self.setting)) if self.setting else 0

    def expendable(self) -> QuerySet[Any, Any] | None:
        """The rows that may be removed now. None: they are kept for ever."""
        if self.setting and not self.days:
            return None
        return self.rows(timezone.now() - timedelta(days=self.days))


def expired_sessions(before: datetime) -> QuerySet[Session]:
    return Session.objects.filter(expire_date__lt=before)


def expired_tokens(before: datetime) -> QuerySet[AccessToken]:
    return AccessToken.objects.filter(expires_at__lt=before, generation=None)


def settled_deliveries(before: datetime) -> QuerySet[Delivery]:
    """Not those of a round that is open."""
    settled = Delivery.objects.exclude(status=DeliveryStatus.PENDING).filter(settled_at__lt=before)
    return settled.filter(Q(round=None) | Q(round__closed_at__isnull=False))


def old_alerts(before: datetime) -> QuerySet[Alert]:
    """Not those that the next look for alerts would make again."""
    horizon = timezone.now() - HORIZON - timedelta(days=1)
    is_over = Q(round=None) | Q(round__closed_at__isnull=False)
    return Alert.objects.filter(is_over, created_at__lt=min(before, horizon))


def old_events(before: datetime) -> QuerySet[Event]:
    """Those of finished trainings, and of accounts. Those that say which version was restored stay with the model."""
    events = Event.objects.filter(at__lt=before).exclude(kind=EventKind.VERSION_RESTORED)
    return events.filter(Q(training__in=_finished(before)) | Q(training=None, model=None))


def old_metrics(before: datetime) -> QuerySet[Metric]:
    """Those of the models and updates of finished trainings."""
    models = _finished(before).values("model")
    updates = LocalModel.objects.non_polymorphic().filter(base_model__in=models).values("pk")
    return Metric.objects.filter(Q(model__in=models) | Q(model__in=updates), created_at__lt=before)


def old_updates(before: datetime) -> QuerySet[Any, Any]:
    """Those of finished trainings, except those in an open round."""
    open_rounds = Round.objects.filter(closed_at=None)
    updates = LocalModel.objects.non_polymorphic().filter(base_model__in=_finished(before).values("model"))
    return updates.filter(passed_to=None).exclude(submission__round__in=open_rounds)


def old_seals(before: datetime) -> QuerySet[AuditSeal]:
    return AuditSeal.objects.filter(sealed_at__lt=before)


def _finished(before: datetime) -> QuerySet[Training]:
    """Completed trainings that weren't changed since then."""
    return Training.objects.filter(state=TrainingState.COMPLETED, last_update__lt=before)


RETENTIONS = (
    Retention("expired sessions", "", expired_sessions),
    Retention("expired tokens", "FL_KEEP_TOKENS_DAYS", expired_tokens, is_noted=True),
    Retention("settled notifications", "FL_KEEP_DELIVERIES_DAYS", settled_deliveries),
    Retention("alerts", "FL_KEEP_ALERTS_DAYS", old_alerts),
    Retention("events", "FL_KEEP_EVENTS_DAYS", old_events, is_noted=True),
    Retention("metrics", "FL_KEEP_METRICS_DAYS", old_metrics, is_noted=True),
    Retention("updates", "FL_KEEP_UPDATES_DAYS", old_updates, is_noted=True),
)
"""In the order of removal. The trail has rules of its own: `services/trail_purging.py`."""


def bytes_of_updates(updates: QuerySet[Any, Any]) -> int:
    """Bytes of the updates' files, as far as they were measured."""
    names = updates.exclude(weights_file="").values("weights_file")
    return sum(StoredFile.objects.filter(name__in=names).values_list("size", flat=True))
