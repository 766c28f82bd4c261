"""Invitations to a training: made, settled, told. Lock the training first; `services.participants` says who joins."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.event import EventKind
from fl_server_core.models.training import Training
from fl_server_core.models.training_invitation import InvitationState, TrainingInvitation
from fl_server_core.models.user import User
from fl_server_core.selectors import rounds
from fl_server_core.selectors.training_invitations import open_invitations
from fl_server_core.selectors.trainings import lock_known, lock_steerable
from fl_server_core.services.deliveries import notify, supersede_invitations
from fl_server_core.services.history import record_each


def invite(*, training: Training, user_ids: Sequence[UUID], author: User, accepted: Collection[UUID]) -> None:
    """Invite users to a locked training. Those in `accepted` have answered already; who is invited is left alone.

    The others are told.
    """
    waiting = set(open_invitations(training, user_ids).values_list("user", flat=True))
    settle(training=training, user_ids=accepted, state=InvitationState.ACCEPTED)
    new = [user_id for user_id in user_ids if user_id not in waiting]
    told = [user_id for user_id in new if user_id not in accepted]
    now = timezone.now()
    TrainingInvitation.objects.bulk_create(
        [
            TrainingInvitation(
                training=training,
                user_id=user_id,
                invited_by=author,
                state=InvitationState.ACCEPTED if user_id in accepted else InvitationState.OPEN,
                settled_at=now if user_id in accepted else None,
            )
            for user_id in new
        ]
    )
    notify(
        training=training,
        receiver_ids=told,
        kind=NotificationType.TRAINING_INVITATION,
        body={"actor": str(training.actor_id), "global_model_uuid": str(training.model_id)},
    )
    _record(training, EventKind.PARTICIPANT_INVITED, told, author)


def settle(*, training: Training, user_ids: Iterable[UUID], state: InvitationState) -> list[UUID]:
    """Close the open invitations of these users to a locked training. Returns: whose there were.

    What is not delivered of them is dropped: nothing that follows waits behind it.
    """
    rows = open_invitations(training, list(user_ids))
    settled = list(rows.order_by("user").values_list("user", flat=True))
    if settled:
        rows.update(state=state, settled_at=timezone.now())
        supersede_invitations(training_id=training.pk, receiver_ids=settled)
    return settled


def withdraw(*, training: Training, user_ids: Sequence[UUID], author: User) -> None:
    """Take back the open invitations of these users to a locked training."""
    settled = settle(training=training, user_ids=user_ids, state=InvitationState.WITHDRAWN)
    _record(training, EventKind.PARTICIPANT_UNINVITED, settled, author)


def withdraw_invitation(*, invitation_id: int, user: User) -> None:
    """Take back one invitation; one that is answered stays as it is.

    Raises:
        EntityNotFound, NotAllowed: no such invitation, or the user may not steer its training.
    """
    with transaction.atomic():
        found = TrainingInvitation.objects.filter(pk=invitation_id).first()
        if found is None:
            raise EntityNotFound("Invitation", invitation_id)
        training = lock_steerable(found.training_id, user)
        if open_invitations(training).filter(pk=invitation_id).exists():
            withdraw(training=training, user_ids=[found.user_id], author=user)


def decline_invitation(*, training_id: UUID, user: User) -> None:
    """Refuse to take part in a training. The actor may invite the user again.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user has no open invitation to it.
    """
    with transaction.atomic():
        training = lock_known(training_id)
        require_invitation(user, training)
        settled = settle(training=training, user_ids=[user.pk], state=InvitationState.DECLINED)
        _record(training, EventKind.PARTICIPANT_DECLINED, settled, user)


def require_invitation(user: User, training: Training) -> None:
    """Raises NotAllowed for a user who has no open invitation to the training."""
    if not open_invitations(training, [user.pk]).exists():
        raise NotAllowed(f"You are not invited to training {training.pk}!")


def _record(training: Training, kind: EventKind, user_ids: Sequence[UUID], author: User) -> None:
    if not user_ids:
        return
    number = rounds.current_round(training)
    record_each(training=training, kind=kind, number=number, user_ids=user_ids, author_id=author.pk)
    training.save(update_fields=["last_update"])
