from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from fl_server_core.models.delivery import Delivery, DeliveryStatus
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.selectors import rounds
from fl_server_core.services.notifications import LEASE_SLACK
from fl_server_core.services.rounds import lock_training
from fl_server_core.signals import deliveries_due

BATCH = 500  # ids a statement: SQLite takes 999 parameters


def retry_deliveries(*, deliveries: QuerySet[Delivery]) -> int:
    """Send again, now and with all attempts anew, what waits in the outbox or was given up.

    Left alone: what has been answered or superseded, round starts of a round that is not open any more, and a delivery
    that is on its way at this moment. Returns how many go out.
    """
    candidates: dict[UUID, list[int]] = defaultdict(list)
    waiting = deliveries.filter(status__in=(DeliveryStatus.PENDING, DeliveryStatus.FAILED))
    for training_id, delivery_id in waiting.order_by("id").values_list("training_uuid", "id"):
        candidates[training_id].append(delivery_id)
    return sum(_retry_of_training(training_id, ids) for training_id, ids in sorted(candidates.items()))


def _retry_of_training(training_id: UUID, delivery_ids: list[int]) -> int:
    with transaction.atomic():
        training = lock_training(training_id)  # first, as everybody does who changes deliveries
        due: list[int] = []
        for start in range(0, len(delivery_ids), BATCH):
            rows = _retriable(training).filter(pk__in=delivery_ids[start : start + BATCH])
            batch = list(rows.order_by("id").values_list("id", flat=True))
            _make_due(batch)
            due += batch
        if due:
            transaction.on_commit(lambda: deliveries_due.send(sender=Delivery, delivery_ids=due), robust=True)
    return len(due)


def _retriable(training: Training | None) -> QuerySet[Delivery]:
    """What a retry may send of a training's outbox, or of one that is gone."""
    is_open = Q(phase=Phase.IDLE)
    if training is not None and training.is_running:
        is_open |= Q(phase=training.phase, round=rounds.current_round(training))
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
