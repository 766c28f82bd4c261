from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from fl_server_core.models.delivery import ROUND_TYPES, Delivery, DeliveryStatus, NotificationType
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.signals import deliveries_due

BATCH = 50  # rows a statement: SQLite takes 999 parameters


def notify(
    *, training: Training, receiver_ids: Iterable[UUID], kind: NotificationType, body: Mapping[str, Any] | None = None
) -> None:
    """Put one notification without consequences for each receiver into the outbox."""
    _post(
        [
            Delivery(
                receiver_id=receiver,
                training=training,
                training_uuid=training.id,
                notification_type=kind,
                body=dict(body or {}),
            )
            for receiver in receiver_ids
        ]
    )


def notify_round(*, training: Training, phase: Phase, round: int, model_ids: Mapping[UUID, UUID]) -> None:
    """Tell each receiver (key) that a round of the phase has started from a model (value).

    Of earlier round starts, those not yet delivered are superseded.
    """
    receivers = list(model_ids)
    supersede(training_id=training.id, receiver_ids=receivers)
    _post(
        [
            Delivery(
                receiver_id=receiver,
                training=training,
                training_uuid=training.id,
                notification_type=ROUND_TYPES[phase],
                body={"round": round, "global_model_uuid": str(model_ids[receiver])},
                phase=phase,
                round=round,
            )
            for receiver in receivers
        ]
    )


def supersede(*, training_id: UUID, receiver_ids: Iterable[UUID] | None = None) -> None:
    """Drop the round starts of a training that wait in the outbox: of all receivers, or of these."""
    waiting = Delivery.objects.filter(training_id=training_id, status=DeliveryStatus.PENDING).exclude(phase=Phase.IDLE)
    if receiver_ids is None:
        waiting.update(status=DeliveryStatus.SUPERSEDED, settled_at=timezone.now())
        return
    receivers = list(receiver_ids)
    for start in range(0, len(receivers), 500):
        waiting.filter(receiver_id__in=receivers[start : start + 500]).update(
            status=DeliveryStatus.SUPERSEDED, settled_at=timezone.now()
        )


def _post(deliveries: list[Delivery]) -> None:
    if not deliveries:
        return
    now = timezone.now()
    for delivery in deliveries:
        delivery.enqueued_at = delivery.next_attempt_at = now
    written = Delivery.objects.bulk_create(deliveries, batch_size=BATCH)
    ids = [delivery.pk for delivery in written]
    transaction.on_commit(lambda: deliveries_due.send(sender=Delivery, delivery_ids=ids), robust=True)
