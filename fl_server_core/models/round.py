from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from fl_server_core.models.training import Training


class RoundOutcome(models.TextChoices):
    """Abandoned: its training ended before it did."""

    CLOSED = "closed", "closed"
    ABANDONED = "abandoned", "abandoned"


class Round(models.Model):
    """One round of a training: of updates, of moments, of tests, or of another kind.

    A round is open from `opened_at` to `closed_at`; a training has one open round at most. The next round may exist
    before it is opened: early submissions point to it. The round of a failed training stays open, without a clock.

    number: the model's round when this one was opened. phase: the word for its kind in a training's status; the kinds
    of one phase take the same submissions. claim: the worker that closes the round, until `lease_until`.
    attempts: how often the round was claimed and not closed. problem: why, the last time.
    """

    training = models.ForeignKey(Training, on_delete=models.CASCADE, related_name="rounds")
    number = models.IntegerField()
    kind = models.CharField(max_length=32)
    phase = models.CharField(max_length=32)
    opened_at = models.DateTimeField(null=True, blank=True)
    deadline = models.DateTimeField(null=True, blank=True, help_text="When the round stops waiting for participants.")
    closed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, choices=RoundOutcome.choices, blank=True)
    claim = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(max_length=256, blank=True)
    problem_since = models.DateTimeField(null=True, blank=True)
    figures: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["training", "number", "kind"], name="one_round_per_training_number_and_kind"
            ),
            models.UniqueConstraint(
                fields=["training"],
                condition=Q(opened_at__isnull=False, closed_at__isnull=True),
                name="one_open_round_per_training",
            ),
        ]
        indexes = [
            models.Index(fields=["deadline"], condition=Q(closed_at__isnull=True), name="open_round_deadline"),
            models.Index(fields=["closed_at"], name="round_closed_at"),
            models.Index(fields=["lease_until"], condition=Q(closed_at__isnull=True), name="open_round_lease"),
        ]

    def __str__(self) -> str:
        return f"Round {self.number} ({self.kind}) of {self.training_id}"

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None and self.closed_at is None
