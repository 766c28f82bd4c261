from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from fl_server_core.models.model import GlobalModel
from fl_server_core.models.training import Training


class EventKind(models.TextChoices):
    STARTED = "started", "started"
    AGGREGATED = "aggregated", "aggregated"
    PASSED_ON = "passed_on", "passed on"
    MOMENTS_AVERAGED = "moments_averaged", "moments averaged"
    TESTED = "tested", "tested"
    ROUND_CLOSED = "round_closed", "round closed"
    PARTICIPANT_ADDED = "participant_added", "participant added"
    PARTICIPANT_REMOVED = "participant_removed", "participant removed"
    PARTICIPANT_REJECTED = "participant_rejected", "participant rejected a notification"
    PARTICIPANT_LEFT = "participant_left", "participant left"
    PARTICIPANT_REMINDED = "participant_reminded", "participant reminded"
    PARTICIPANT_INVITED = "participant_invited", "invited to take part"
    PARTICIPANT_ACCEPTED = "participant_accepted", "invitation to take part accepted"
    PARTICIPANT_DECLINED = "participant_declined", "invitation to take part declined"
    PARTICIPANT_UNINVITED = "participant_uninvited", "invitation to take part withdrawn"
    UPDATE_DELETED = "update_deleted", "update deleted"
    SUBMISSION_REPLAYED = "submission_replayed", "submission sent before"
    METRICS_DELETED = "metrics_deleted", "metrics deleted"
    DELIVERY_FAILED = "delivery_failed", "delivery failed"
    DELIVERIES_RETRIED = "deliveries_retried", "deliveries sent again"
    TAKEN_OVER = "taken_over", "taken over from a worker that went silent"
    CREATED = "created", "created"
    EDITED = "edited", "edited"
    DELETED = "deleted", "deleted"
    TRUST_CHANGED = "trust_changed", "trusted actors changed"
    TOKEN_RENEWED = "token_renewed", "API token renewed"
    TOKEN_MADE = "token_made", "token made"
    TOKEN_ENDED = "token_ended", "token ended"
    SECRET_ROTATED = "secret_rotated", "notification secret rotated"
    PASSWORD_CHANGED = "password_changed", "password changed"
    IDENTITY_LINKED = "identity_linked", "identity linked"
    IDENTITY_UNLINKED = "identity_unlinked", "identity unlinked"
    INVITED = "invited", "invitation made"
    INVITATION_WITHDRAWN = "invitation_withdrawn", "invitation withdrawn"
    VERSION_RESTORED = "version_restored", "version restored"
    VERSION_DESCRIBED = "version_described", "version named or pinned"
    FAILED = "failed", "failed"
    RESUMED = "resumed", "resumed"
    STOPPED = "stopped", "stopped"
    FINISHED = "finished", "finished"


def event_kinds() -> list[tuple[str, str]]:
    """The choices of `Event.kind`: a callable, so that a new kind needs no migration."""
    return EventKind.choices


class Event(models.Model):
    """What happened to a training, a model or a user, when, and with which figures.

    A deletion belongs to what is left: that of a training to its model. UPDATE_DELETED: a submission to a round that is
    not closed went with the update. SUBMISSION_REPLAYED: its bytes had come in an earlier round. user: whom it is
    about. author: who did it, if a person did. round: None for events of users. figures: numbers, and as `error` what
    went wrong on the way to the user, which other participants don't see.
    """

    training = models.ForeignKey(Training, on_delete=models.CASCADE, null=True, blank=True, related_name="events")
    model = models.ForeignKey(GlobalModel, on_delete=models.CASCADE, null=True, blank=True, related_name="events")
    at = models.DateTimeField(auto_now_add=True)
    kind = models.CharField(max_length=32, choices=event_kinds)
    round = models.IntegerField(null=True, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="events"
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="authored_events"
    )
    message = models.TextField(blank=True)
    figures: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["kind", "at"])]

    def __str__(self) -> str:
        where = "" if self.round is None else f" in round {self.round}"
        return f"{self.get_kind_display()}{where}"
