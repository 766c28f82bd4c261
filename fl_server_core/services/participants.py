"""Who takes part in a training: coming, going, and being told of it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import LocalModel
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.rounds.ending import drop_submissions, fail_training
from fl_server_core.rounds.opening import announce
from fl_server_core.selectors import rounds
from fl_server_core.selectors.trainings import lock_steerable
from fl_server_core.selectors.users import find_users, lock_users
from fl_server_core.services.deliveries import notify, supersede
from fl_server_core.services.history import record_each


def add_participants(*, training_id: UUID, user: User, user_ids: Sequence[UUID]) -> None:
    """Register participants; those who join a running training are told of it and of the open round.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; unknown users or one user twice.
    """
    find_users(user_ids)
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        known = set(rounds.participant_ids(training))
        joining = [person for person in lock_users(user_ids) if person.pk not in known]
        newcomers = [person.pk for person in joining]
        training.participants.add(*joining)
        number = rounds.current_round(training)
        record_each(
            training=training,
            kind=EventKind.PARTICIPANT_ADDED,
            number=number,
            user_ids=newcomers,
            author_id=user.pk,
        )
        if training.is_running:
            _welcome(training, newcomers)
        training.save(update_fields=["last_update"])


def remove_participants(*, training_id: UUID, user: User, user_ids: Sequence[UUID]) -> None:
    """Take participants out of a training and tell them.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; unknown users or one user twice.
    """
    users = find_users(user_ids)
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        leaving = [leaver.pk for leaver in users]
        drop_participants(training=training, leaving=leaving, kind=EventKind.PARTICIPANT_REMOVED, author_id=user.pk)


def drop_participants(
    *,
    training: Training,
    leaving: Sequence[UUID],
    kind: EventKind,
    message: str = "",
    author_id: UUID | None = None,
) -> None:
    """Take participants out of a locked training. Submissions to a round that is not yet claimed go with them.

    Those who were removed are told; those who rejected a notification are not. Without participants, a running
    training fails.
    """
    present = set(rounds.participant_ids(training))
    leavers = [leaver for leaver in leaving if leaver in present]
    if not leavers:
        return
    number = rounds.current_round(training)
    _drop_submissions(training, leavers)
    supersede(training_id=training.id, receiver_ids=leavers)
    if training.is_running and kind == EventKind.PARTICIPANT_REMOVED:
        notify(training=training, receiver_ids=leavers, kind=NotificationType.CLIENT_REMOVED)
    record_each(training=training, kind=kind, number=number, user_ids=leavers, author_id=author_id, message=message)
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
    joined = training.events.filter(kind=EventKind.PARTICIPANT_ADDED, pk__gt=failure.pk if failure else 0)
    added = set(joined.values_list("user_id", flat=True))
    return [person for person in participants if person in added]


def _welcome(training: Training, newcomers: list[UUID]) -> None:
    tell_of_training(training, newcomers)
    row = rounds.open_round_of(training)
    if row is not None and row.claim is None:  # a claimed round takes nothing more: they are told of the next
        announce(training, row, newcomers)
