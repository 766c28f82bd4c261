from __future__ import annotations

from django.conf import settings
from django.db import models

from fl_server_core.models.training import Training


class EventKind(models.TextChoices):
    STARTED = "started", "started"
    AGGREGATED = "aggregated", "aggregated"
    PASSED_ON = "passed_on", "passed on"
    MOMENTS_AVERAGED = "moments_averaged", "moments averaged"
    TESTED = "tested", "tested"
    PARTICIPANT_ADDED = "participant_added", "participant added"
    PARTICIPANT_REMOVED = "participant_removed", "participant removed"
    PARTICIPANT_REJECTED = "participant_rejected", "participant rejected a notification"
    UPDATE_DELETED = "update_deleted", "an update was deleted"
    DELIVERY_FAILED = "delivery_failed", "delivery failed"
    TAKEN_OVER = "taken_over", "taken over from a worker that went silent"
    FAILED = "failed", "failed"
    RESUMED = "resumed", "resumed"
    STOPPED = "stopped", "stopped"
    FINISHED = "finished", "finished"


class TrainingEvent(models.Model):
    """What happened to a training, when and with which figures."""

    training = models.ForeignKey(Training, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(auto_now_add=True)
    kind = models.CharField(max_length=32, choices=EventKind.choices)
    round = models.IntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    message = models.TextField(blank=True)
    figures = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} in round {self.round}"
