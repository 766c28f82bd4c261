"""What becomes of deliveries: claimed, settled or given up by those who send them, or acknowledged by their receivers.

Lock the training first and then the delivery, like everybody who writes or supersedes deliveries. Leave a delivery
alone that is no longer pending: it was superseded, or acknowledged, meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models.delivery import Delivery, DeliveryStatus
from fl_server_core.models.event import EventKind
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.rounds.ending import fail_training
from fl_server_core.selectors import rounds
from fl_server_core.selectors.deliveries import next_in_line, sendable, waited_behind_a_failure
from fl_server_core.selectors.trainings import lock_training
from fl_server_core.services.deliveries import send_after_commit
from fl_server_core.services.history import record
from fl_server_core.services.participants import drop_participants

logger = logging.getLogger(__name__)

# Beyond the timeout of an attempt, so that who makes it has the time to settle it.
LEASE_SLACK = timedelta(seconds=5)
# How many sweeps something that was put into the queue may take to come out of it before it is put there again.
QUEUE_LEASE_SWEEPS = 6
AT_ONCE = 500
"""Deliveries that one sweep puts into the queue."""


def claim_delivery(*, delivery_id: int) -> Delivery | None:
    """Begin an attempt at a delivery: None if it is not its turn, not due, settled, or somebody else's.

    `attempts` of what is returned tells this claim from later ones. Until the lease ends nobody else gets it.
    """
    now = timezone.now()
    lease = timedelta(seconds=settings.FL_NOTIFICATION_TIMEOUT_SECONDS) + LEASE_SLACK
    with transaction.atomic():
        claimed = (
            sendable(now)
            .filter(pk=delivery_id)
            .update(attempts=F("attempts") + 1, last_attempt_at=now, next_attempt_at=now + lease)
        )
        return Delivery.objects.select_related("receiver").get(pk=delivery_id) if claimed else None


def postpone_delivery(*, delivery_id: int, seconds: float) -> float | None:
    """Put off a delivery that is due, without an attempt. Returns: the seconds; None if it is not due any more."""
    until = timezone.now() + timedelta(seconds=seconds)
    due = sendable().filter(pk=delivery_id)
    return seconds if due.update(next_attempt_at=until, enqueued_at=until) else None


def claim_due_deliveries() -> list[int]:
    """The ids of deliveries that are due and that nobody has put into the queue lately: the caller does so now."""
    now = timezone.now()
    queued_since = now - timedelta(seconds=QUEUE_LEASE_SWEEPS * settings.FL_SWEEP_SECONDS)
    lost = Q(enqueued_at__isnull=True) | Q(enqueued_at__lte=queued_since)
    with transaction.atomic():
        # Two sweeps at once share the work: each takes the rows that the other has not locked.
        skips = connection.features.has_select_for_update_skip_locked
        due = sendable(now).filter(lost).select_for_update(skip_locked=skips).order_by("pk")
        claimed = list(due.values_list("pk", flat=True)[:AT_ONCE])
        Delivery.objects.filter(pk__in=claimed).update(enqueued_at=now)
    return claimed


def take_from_queue(*, delivery_ids: Sequence[int]) -> None:
    """These did not reach the queue: the next sweep may take them."""
    Delivery.objects.filter(pk__in=delivery_ids).update(enqueued_at=None)


def accept_delivery(*, delivery: Delivery) -> None:
    """The receiver has taken it."""
    with transaction.atomic():
        _training, pending = _lock_pending(delivery)
        if pending is not None:
            _settle(pending, DeliveryStatus.ACCEPTED)
            logger.info("%s is accepted, attempt %s.", pending.notification_type, pending.attempts)
            _nudge_next(pending)


def reject_delivery(*, delivery: Delivery, reason: str) -> None:
    """The receiver does not want it. A participant that rejects the start of the open round leaves the training."""
    with transaction.atomic():
        training, pending = _lock_pending(delivery)
        if pending is None:
            return
        pending.last_error = reason
        _settle(pending, DeliveryStatus.REJECTED)
        logger.info("%s is rejected: %s", pending.notification_type, reason)
        if training is not None and _opens_present_round(training, pending):
            drop_participants(
                training=training,
                leaving=[pending.receiver_id],
                kind=EventKind.PARTICIPANT_REJECTED,
                message=f"{pending.receiver.username} rejected {pending.notification_type}.",
                error=reason,
            )
        _nudge_next(pending)


def leave_unanswered(*, delivery: Delivery, error: str, is_permanent: bool = False) -> float | None:
    """An attempt at a claimed delivery has brought no answer; it is given up if that was the last one.

    Returns: in how many seconds to try again; None if not at all.
    """
    with transaction.atomic():
        training, pending = _lock_pending(delivery)
        if pending is None or pending.attempts != delivery.attempts:
            return None  # the lease has lapsed, and a later attempt decides
        pending.last_error = error
        pause = None if is_permanent else _pause_before_next_attempt(pending)
        if pause is None:
            _give_up(pending, training)
            return None
        # The queue has it until then: the sweep's own patience starts when it is due.
        pending.next_attempt_at = pending.enqueued_at = timezone.now() + timedelta(seconds=pause)
        pending.save(update_fields=["last_error", "next_attempt_at", "enqueued_at"])
        return pause


def acknowledge(*, user: User, notification_id: UUID, accept: bool) -> None:
    """Settle a notification that the user has fetched. Once settled, it stays as it is.

    Raises:
        EntityNotFound: the user has no such notification.
    """
    delivery = Delivery.objects.filter(uuid=notification_id, receiver=user).first()
    if delivery is None:
        raise EntityNotFound("Notification", notification_id)
    if accept:
        accept_delivery(delivery=delivery)
    else:
        reject_delivery(delivery=delivery, reason="Declined.")


def _lock_pending(delivery: Delivery) -> tuple[Training | None, Delivery | None]:
    training = lock_training(delivery.training_uuid)
    pending = Delivery.objects.select_for_update().filter(pk=delivery.pk, status=DeliveryStatus.PENDING).first()
    return training, pending


def _settle(delivery: Delivery, status: DeliveryStatus) -> None:
    delivery.status = status
    delivery.settled_at = timezone.now()
    delivery.save(update_fields=["status", "settled_at", "last_error"])


def _nudge_next(settled: Delivery) -> None:
    following = next_in_line(settled)
    if following is None:
        return
    Delivery.objects.filter(pk=following.pk).update(enqueued_at=timezone.now())
    send_after_commit([following.pk])


def _pause_before_next_attempt(delivery: Delivery) -> float | None:
    pauses: list[float] = settings.FL_NOTIFICATION_RETRY_SECONDS
    if delivery.attempts > len(pauses) or waited_behind_a_failure(delivery):
        return None  # one attempt is enough at somebody who has just been given up
    return pauses[delivery.attempts - 1]


def _give_up(delivery: Delivery, training: Training | None) -> None:
    """Without a deadline the round would wait for ever for a participant that can't be told: the training fails."""
    _settle(delivery, DeliveryStatus.FAILED)
    kind, attempts = delivery.notification_type, delivery.attempts
    logger.warning("%s is given up after %s attempts: %s", kind, attempts, delivery.last_error)
    if training is not None and delivery.is_round_start:
        user_id = delivery.receiver_id
        name = delivery.receiver.username
        reason = f"{name} could not be reached with {delivery.notification_type} (attempts: {delivery.attempts})."
        record(
            training=training,
            kind=EventKind.DELIVERY_FAILED,
            number=rounds.current_round(training),
            user_id=user_id,
            message=reason,
            error=delivery.last_error,
        )
        if _opens_present_round(training, delivery) and _waits_for(training, user_id):
            fail_training(training=training, reason=reason, user_id=user_id)
    _nudge_next(delivery)


def _opens_present_round(training: Training, delivery: Delivery) -> bool:
    """Is this the start of the round that is open now, told to one of its participants?"""
    row = rounds.open_round_of(training)
    return (
        row is not None
        and training.is_running
        and delivery.round_id == row.pk
        and training.participants.filter(pk=delivery.receiver_id).exists()
    )


def _waits_for(training: Training, user_id: UUID) -> bool:
    """Does the open round wait for this participant, without end? A claimed one closes with what it has."""
    row = rounds.open_round_of(training)
    if row is None or row.deadline is not None or row.claim is not None:
        return False
    return not row.submissions.filter(participant=user_id).exists()
