"""Who takes part in a training: coming, going, and being told of it.

With FL_ENROLMENT `open`, whom the actor adds takes part at once. With `consent`, each is invited and takes part once it
has accepted; one who trusts the training's actor at the moment of inviting takes part at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from fl_server_core.exceptions import InvalidRequest, NotAllowed
from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import LocalModel
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.models.training_invitation import InvitationState
from fl_server_core.models.user import User
from fl_server_core.policies import is_participant
from fl_server_core.rounds.ending import drop_submissions, fail_training
from fl_server_core.rounds.opening import announce
from fl_server_core.selectors import rounds
from fl_server_core.selectors.training_invitations import is_over, trusting
from fl_server_core.selectors.trainings import lock_known, lock_steerable
from fl_server_core.selectors.users import find_users, lock_users
from fl_server_core.services.deliveries import notify, supersede
from fl_server_core.services.history import record_each
from fl_server_core.services.training_invitations import invite, require_invitation, settle, withdraw

CONSENT = "consent"
UNASKED = "Takes part without being asked."
JOINED = (EventKind.PARTICIPANT_ADDED, EventKind.PARTICIPANT_ACCEPTED)
WENT = (EventKind.PARTICIPANT_REMOVED, EventKind.PARTICIPANT_LEFT)
"""Kinds of events after which the one who went is told."""


def add_participants(*, training_id: UUID, user: User, user_ids: Sequence[UUID]) -> list[UUID]:
    """Register participants, or invite them, as FL_ENROLMENT says. Returns: those who have yet to accept.

    Who takes part or is invited already is left alone. Those who join a running training are told of it and of the
    open round.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; unknown users, one user twice, or, where users are
            invited, a training that is over.
    """
    find_users(user_ids)
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        known = set(rounds.participant_ids(training))
        added = [person for person in lock_users(user_ids) if person.pk not in known]
        if settings.FL_ENROLMENT == CONSENT:
            _require_not_over(training)
            return ask(training=training, people=added, author=user)
        settle(training=training, user_ids=[person.pk for person in added], state=InvitationState.ACCEPTED)
        _join(training, added, EventKind.PARTICIPANT_ADDED, user)
    return []


def ask(*, training: Training, people: Sequence[User], author: User) -> list[UUID]:
    """Invite users who take no part in a locked training. Returns: those who have yet to accept.

    Those who trust the training's actor join at once, and so do the actor and the author.
    """
    ids = {person.pk for person in people}
    willing = trusting(training.actor_id, ids) | ({author.pk, training.actor_id} & ids)
    invite(training=training, user_ids=sorted(ids), author=author, accepted=willing)
    joining = [person for person in people if person.pk in willing]
    if joining:
        _join(training, joining, EventKind.PARTICIPANT_ADDED, author, UNASKED)
    return sorted(ids - willing)


def accept_invitation(*, training_id: UUID, user: User) -> None:
    """Take part in a training; in a running one as one who was added late. Once more, by a participant: no effect.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user has no open invitation to it.
        InvalidRequest: the training is over.
    """
    with transaction.atomic():
        training = lock_known(training_id)
        if is_participant(user, training):
            return
        require_invitation(user, training)
        _require_not_over(training)
        people = lock_users([user.pk])
        settle(training=training, user_ids=[user.pk], state=InvitationState.ACCEPTED)
        _join(training, people, EventKind.PARTICIPANT_ACCEPTED, user)


def leave_training(*, training_id: UUID, user: User) -> None:
    """Take no part any more, as if the actor had removed the user.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user takes no part in it.
    """
    with transaction.atomic():
        training = lock_known(training_id)
        if not is_participant(user, training):
            raise NotAllowed(f"You are not a participant of training {training.id}!")
        drop_participants(training=training, leaving=[user.pk], kind=EventKind.PARTICIPANT_LEFT, author_id=user.pk)


def _require_not_over(training: Training) -> None:
    if is_over(training):
        raise InvalidRequest(f"Training {training.id} has ended.")


def _join(training: Training, people: Sequence[User], kind: EventKind, author: User, message: str = "") -> None:
    """Make users who take no part in a locked training its participants; the author made them."""
    newcomers = [person.pk for person in people]
    training.participants.add(*people)
    number = rounds.current_round(training)
    record_each(training=training, kind=kind, number=number, user_ids=newcomers, author_id=author.pk, message=message)
    if training.is_running:
        _welcome(training, newcomers)
    training.save(update_fields=["last_update"])


def remove_participants(*, training_id: UUID, user: User, user_ids: Sequence[UUID]) -> None:
    """Take participants out of a training and tell them, and withdraw the invitations of those who are only invited.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; unknown users or one user twice.
    """
    users = find_users(user_ids)
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        leaving = [leaver.pk for leaver in users]
        withdraw(training=training, user_ids=leaving, author=user)
        drop_participants(training=training, leaving=leaving, kind=EventKind.PARTICIPANT_REMOVED, author_id=user.pk)


def drop_participants(
    *,
    training: Training,
    leaving: Sequence[UUID],
    kind: EventKind,
    message: str = "",
    author_id: UUID | None = None,
    **figures: Any,
) -> None:
    """Take participants out of a locked training. Submissions to a round that is not yet claimed go with them.

    Those who were removed or left are told; those who rejected a notification are not. Without participants, a running
    training fails. figures: of the events.
    """
    present = set(rounds.participant_ids(training))
    leavers = [leaver for leaver in leaving if leaver in present]
    if not leavers:
        return
    number = rounds.current_round(training)
    _drop_submissions(training, leavers)
    supersede(training_id=training.id, receiver_ids=leavers)
    if training.is_running and kind in WENT:
        notify(training=training, receiver_ids=leavers, kind=NotificationType.CLIENT_REMOVED)
    record_each(
        training=training,
        kind=kind,
        number=number,
        user_ids=leavers,
        author_id=author_id,
        message=message,
        **figures,
    )
    training.participants.remove(*User.objects.filter(pk__in=leavers))
    if training.is_running and len(leavers) == len(present) and not training.locked:
        fail_training(training=training, reason="All participants have left.")
    training.save(update_fields=["last_update"])


def _drop_submissions(training: Training, leavers: list[UUID]) -> None:
    """Remove the updates and passed-on models of those who leave, except those that a claimed round counts."""
    uncounted = Submission.objects.filter(
        round__training=training, round__closed_at=None, participant__in=leavers, counted=False
    )
    drop_submissions(uncounted)
    if not training.locked:
        LocalModel.objects.filter(base_model_id=training.model_id, passed_to__in=leavers).delete()


def tell_of_training(training: Training, receivers: list[UUID]) -> None:
    """Send TRAINING_START."""
    notify(
        training=training,
        receiver_ids=receivers,
        kind=NotificationType.TRAINING_START,
        body={"global_model_uuid": str(training.model_id)},
    )


def newcomers_of(training: Training, participants: list[UUID]) -> list[UUID]:
    """Those who joined since the training failed, and have heard nothing of it."""
    failure = training.events.filter(kind=EventKind.FAILED).last()
    joined = training.events.filter(kind__in=JOINED, pk__gt=failure.pk if failure else 0)
    added = set(joined.values_list("user_id", flat=True))
    return [person for person in participants if person in added]


def _welcome(training: Training, newcomers: list[UUID]) -> None:
    tell_of_training(training, newcomers)
    row = rounds.open_round_of(training)
    if row is not None and row.claim is None:  # a claimed round takes nothing more: they are told of the next
        announce(training, row, newcomers)
