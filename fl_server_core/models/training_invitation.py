from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from fl_server_core.models.training import Training


class InvitationState(models.TextChoices):
    OPEN = "open", "open"
    ACCEPTED = "accepted", "accepted"
    DECLINED = "declined", "declined"
    WITHDRAWN = "withdrawn", "withdrawn"


class TrainingInvitation(models.Model):
    """What an actor asked a user: to take part in a training. It grants nothing until it is accepted.

    A user has one open invitation to a training at most; once settled, an invitation never changes. Who takes part is
    not in here but in `Training.participants`: one who has accepted may have left since. invited_by: the training's
    actor, or a member of the staff.
    """

    training = models.ForeignKey(Training, on_delete=models.CASCADE, related_name="invitations")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="training_invitations")
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="training_invitations_sent",
    )
    state = models.CharField(max_length=16, choices=InvitationState.choices, default=InvitationState.OPEN)
    created_at = models.DateTimeField(auto_now_add=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["training", "user"],
                condition=Q(state="open"),
                name="one_open_invitation_per_training_and_user",
            ),
        ]

    def __str__(self) -> str:
        return f"Invitation of {self.user_id} to {self.training_id}"
