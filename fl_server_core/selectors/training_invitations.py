"""Who is asked to take part, and whom they trust."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q, QuerySet

from fl_server_core.models.round import Round
from fl_server_core.models.training import Training, TrainingState
from fl_server_core.models.training_invitation import InvitationState, TrainingInvitation
from fl_server_core.models.user import User
from fl_server_core.selectors.rounds import open_round_of

EVERYONE = "everyone"
"""Stands for a list of trusted actors that holds all of them."""


def open_invitations(training: Training, user_ids: Collection[UUID] | None = None) -> QuerySet[TrainingInvitation]:
    """A training's invitations that are not answered: of all users, or of these."""
    found = TrainingInvitation.objects.filter(training=training, state=InvitationState.OPEN)
    return found if user_ids is None else found.filter(user__in=user_ids)


def invitations_of_user(user: User) -> QuerySet[TrainingInvitation]:
    """What the user can still accept: its open invitations to trainings that are not over, oldest first."""
    failed = Round.objects.filter(opened_at__isnull=False, closed_at=None).values("training")
    is_over = Q(training__state=TrainingState.COMPLETED) | (
        Q(training__state=TrainingState.ERROR) & ~Q(training__in=failed)
    )
    found = TrainingInvitation.objects.filter(user=user, state=InvitationState.OPEN).exclude(is_over)
    return found.select_related("training", "invited_by")


def is_over(training: Training) -> bool:
    """Has the training ended for good? One that has failed can be resumed; one that was stopped can't."""
    if training.state == TrainingState.COMPLETED:
        return True
    return training.state == TrainingState.ERROR and open_round_of(training) is None


def trusting(actor_id: UUID, user_ids: Collection[UUID]) -> set[UUID]:
    """Those of the users who take part in this actor's trainings without being asked."""
    rows = User.objects.filter(Q(trusts_everyone=True) | Q(trusted_actors=actor_id), pk__in=user_ids)
    return set(rows.values_list("pk", flat=True))


def trusted_actors_of(user: User) -> list[UUID] | str:
    """The ids of the actors whom the user trusts, or EVERYONE."""
    if user.trusts_everyone:
        return EVERYONE
    return list(user.trusted_actors.order_by("date_joined", "id").values_list("pk", flat=True))
