from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from fl_server_core.models.round import Round
from fl_server_core.models.training import Training
from fl_server_core.registry import round_kinds


class DeliveryStatus(models.TextChoices):
    """Rejected: by the receiver, for good. Failed: after the last attempt. Superseded: nobody waits for it any more."""

    PENDING = "pending", "pending"
    ACCEPTED = "accepted", "accepted"
    REJECTED = "rejected", "rejected"
    FAILED = "failed", "gave up"
    SUPERSEDED = "superseded", "superseded"


class NotificationType(models.TextChoices):
    """As the wire has it, and in words. Kinds of rounds of other packages add theirs: see `notification_choices`."""

    TRAINING_START = "TRAINING_START", "training start"
    TRAINING_FINISHED = "TRAINING_FINISHED", "training finished"
    UPDATE_ROUND_START = "UPDATE_ROUND_START", "update round start"
    MODEL_TEST_ROUND = "MODEL_TEST_ROUND", "test round start"
    SWAG_ROUND_START = "SWAG_ROUND_START", "SWAG round start"
    CLIENT_REMOVED = "CLIENT_REMOVED", "participant removed"
    TRAINING_INVITATION = "TRAINING_INVITATION", "training invitation"


def notification_choices() -> list[tuple[str, str]]:
    """The wire's own types, and those of the kinds of rounds that other packages add."""
    known = dict(NotificationType.choices)
    known.update({kind.notification: kind.title for kind in round_kinds.values() if kind.notification not in known})
    return list(known.items())


class Delivery(models.Model):
    """One notification for one receiver. Its `uuid` stays the same however often it is sent.

    The deliveries of one receiver and training go out in the order of their ids. `enqueued_at` is a lease on the
    queue: whoever sets it has put the delivery there, and the sweep waits a while before it does so again.
    training: None once the training is gone; training_uuid stays. round: the round whose start this announces.
    """

    uuid = models.UUIDField(unique=True, editable=False, default=uuid.uuid4)
    receiver = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="deliveries")
    training = models.ForeignKey(Training, on_delete=models.SET_NULL, null=True, blank=True, related_name="deliveries")
    training_uuid = models.UUIDField(db_index=True)
    round = models.ForeignKey(Round, on_delete=models.SET_NULL, null=True, blank=True, related_name="deliveries")
    notification_type = models.CharField(max_length=32, choices=notification_choices)
    body = models.JSONField(default=dict)
    status = models.CharField(max_length=16, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    created_at = models.DateTimeField(auto_now_add=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True, help_text="The earliest time of the next attempt.")
    enqueued_at = models.DateTimeField(null=True, blank=True)
    last_attempt_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["status", "next_attempt_at"]),
            models.Index(fields=["receiver", "status"]),
            models.Index(fields=["settled_at"], name="delivery_settled_at"),
        ]

    def __str__(self) -> str:
        return f"{self.notification_type} to {self.receiver_id}"

    @property
    def is_round_start(self) -> bool:
        """Does a rejection of this one, or silence, have consequences?"""
        return self.round_id is not None
