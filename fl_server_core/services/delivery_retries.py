from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from fl_server_core import policies
from fl_server_core.exceptions import NotAllowed
from fl_server_core.models.delivery import Delivery, DeliveryStatus
from fl_server_core.models.event import EventKind
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors import rounds
from fl_server_core.selectors.trainings import lock_training
from fl_server_core.services.deliveries import send_after_commit
from fl_server_core.services.delivery_attempts import LEASE_SLACK
from fl_server_core.services.history import record


def retry_deliveries(*, deliveries: QuerySet[Delivery], user: User) -> int:
    """Send again, now and with all attempts anew, what waits or was given up.

    Left alone: what was answered or superseded, announcements of a round that is not open any more, and a delivery
    that is on its way at this moment. Returns how many go out.

    Raises:
        NotAllowed: the user may not send notifications again.
    """
    if not policies.may_retry_deliveries(user):
        raise NotAllowed
    candidates: dict[UUID, list[int]] = defaultdict(list)
    waiting = deliveries.filter(status__in=(DeliveryStatus.PENDING, DeliveryStatus.FAILED))
    for training_id, delivery_id in waiting.order_by("id").values_list("training_uuid", "id"):
        candidates[training_id].append(delivery_id)
    return sum(_retry_of_training(training_id, ids, user) for training_id, ids in sorted(candidates.items()))


def _retry_of_training(training_id: UUID, delivery_ids: list[int], user: User) -> int:
    with transaction.atomic():
        training = lock_training(training_id)  # first, as everybody does who changes deliveries
        rows = _retriable(training).filter(pk__in=delivery_ids)
        due = list(rows.order_by("id").values_list("id", flat=True))
        if due:
            _make_due(due)
            send_after_commit(due)
            record(
                training=training,
                kind=EventKind.DELIVERIES_RETRIED,
                number=None if training is None else rounds.current_round(training),
                author_id=user.pk,
                message="" if training else f"Training {training_id} has been deleted.",
                number_sent=len(due),
            )
    return len(due)


def _retriable(training: Training | None) -> QuerySet[Delivery]:
    """What a retry may send of a training's deliveries, or of one that is gone."""
    is_open = Q(round=None)
    if training is not None and training.is_running:
        is_open |= Q(round=rounds.open_round_of(training))
    # An attempt in flight will settle the delivery, or put it off, by itself.
    since = timezone.now() - timedelta(seconds=settings.FL_NOTIFICATION_TIMEOUT_SECONDS) - LEASE_SLACK
    is_idle = Q(last_attempt_at__isnull=True) | Q(last_attempt_at__lt=since) | Q(status=DeliveryStatus.FAILED)
    status = Q(status__in=(DeliveryStatus.PENDING, DeliveryStatus.FAILED))
    return Delivery.objects.filter(status, is_open, is_idle)


def _make_due(delivery_ids: list[int]) -> None:
    now = timezone.now()
    Delivery.objects.filter(pk__in=delivery_ids).update(
        status=DeliveryStatus.PENDING, attempts=0, next_attempt_at=now, enqueued_at=now, settled_at=None
    )
