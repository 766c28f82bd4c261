from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from fl_server_core.models.delivery import Delivery, DeliveryStatus, NotificationType
from fl_server_core.models.round import Round
from fl_server_core.models.training import Training
from fl_server_core.signals import deliveries_due


def notify(
    *, training: Training, receiver_ids: Iterable[UUID], kind: NotificationType, body: Mapping[str, Any] | None = None
) -> None:
    """Write one delivery without consequences for each receiver."""
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


def announce_round(*, training: Training, row: Round, notification: str, model_ids: Mapping[UUID, UUID]) -> None:
    """Tell each receiver (key) that a round has started from a model (value).

    Announcements of earlier rounds that are not delivered yet are superseded.
    """
    supersede(training_id=training.id, receiver_ids=list(model_ids))
    _post(
        [
            Delivery(
                receiver_id=receiver,
                training=training,
                training_uuid=training.id,
                round=row,
                notification_type=notification,
                body={"round": row.number, "global_model_uuid": str(model_id)},
            )
            for receiver, model_id in model_ids.items()
        ]
    )


def supersede(*, training_id: UUID, receiver_ids: Iterable[UUID] | None = None) -> None:
    """Drop the announcements of a training's rounds that still wait: of all receivers, or of these."""
    waiting = Delivery.objects.filter(training_id=training_id, status=DeliveryStatus.PENDING, round__isnull=False)
    if receiver_ids is not None:
        waiting = waiting.filter(receiver_id__in=list(receiver_ids))
    waiting.update(status=DeliveryStatus.SUPERSEDED, settled_at=timezone.now())


def supersede_invitations(*, training_id: UUID, receiver_ids: Iterable[UUID] | None = None) -> None:
    """Drop the invitations that have not arrived: to all receivers, or to these. Nobody sends them again, either."""
    waiting = Delivery.objects.filter(
        training_id=training_id,
        status__in=(DeliveryStatus.PENDING, DeliveryStatus.FAILED),
        notification_type=NotificationType.TRAINING_INVITATION,
    )
    if receiver_ids is not None:
        waiting = waiting.filter(receiver_id__in=list(receiver_ids))
    waiting.update(status=DeliveryStatus.SUPERSEDED, settled_at=timezone.now())


def _post(deliveries: list[Delivery]) -> None:
    if not deliveries:
        return
    now = timezone.now()
    for delivery in deliveries:
        delivery.enqueued_at = delivery.next_attempt_at = now
    written = Delivery.objects.bulk_create(deliveries)
    send_after_commit([delivery.pk for delivery in written])


def send_after_commit(delivery_ids: list[int]) -> None:
    """Have deliveries sent once the transaction is committed; what fails then is for the sweep."""
    transaction.on_commit(lambda: deliveries_due.send(sender=Delivery, delivery_ids=delivery_ids), robust=True)
