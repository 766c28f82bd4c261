"""Who takes part in a training: coming, going, and being told of it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from fl_server_core.exceptions import InvalidRequest
from fl_server_core.models.answer import Answer
from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.model import LocalModel
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind
from fl_server_core.models.user import User
from fl_server_core.selectors import rounds
from fl_server_core.selectors.models import parse_uuid
from fl_server_core.services.deliveries import notify, notify_round, supersede
from fl_server_core.services.history import record
from fl_server_core.services.rounds import fail_training, lock_steerable


def add_participants(*, training_id: UUID | str, user: User, user_ids: Sequence[UUID | str]) -> None:
    """Register participants; those who join a running training are told of it and of the open round.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; unknown users or one user twice.
    """
    users = find_users(user_ids)
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        known = set(rounds.participant_ids(training))
        joining = [person for person in users if person.pk not in known]
        newcomers = [person.pk for person in joining]
        training.participants.add(*joining)
        current = rounds.current_round(training)
        for newcomer in newcomers:
            record(training=training, kind=EventKind.PARTICIPANT_ADDED, round=current, user_id=newcomer)
        if training.is_running:
            _welcome(training, current, newcomers)
        training.save(update_fields=["last_update"])


def remove_participants(*, training_id: UUID | str, user: User, user_ids: Sequence[UUID | str]) -> None:
    """Take participants out of a training and tell them.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; unknown users or one user twice.
    """
    users = find_users(user_ids)
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        leaving = [leaver.pk for leaver in users]
        drop_participants(training=training, leaving=leaving, kind=EventKind.PARTICIPANT_REMOVED)


def drop_participants(*, training: Training, leaving: Sequence[UUID], kind: EventKind, message: str = "") -> None:
    """Take participants out of a locked training. Answers to a round that is not yet claimed go with them.

    Who was removed is told; who rejected a notification is not. Without participants, a running training fails.
    """
    present = set(rounds.participant_ids(training))
    leavers = [leaver for leaver in leaving if leaver in present]
    if not leavers:
        return
    current = rounds.current_round(training)
    _drop_answers(training, leavers)
    supersede(training_id=training.id, receiver_ids=leavers)
    if training.is_running and kind == EventKind.PARTICIPANT_REMOVED:
        notify(training=training, receiver_ids=leavers, kind=NotificationType.CLIENT_REMOVED)
    for leaver in leavers:
        record(training=training, kind=kind, round=current, user_id=leaver, message=message)
    training.participants.remove(*User.objects.filter(pk__in=leavers))
    if training.is_running and len(leavers) == len(present) and not training.locked:
        fail_training(training=training, round=current, reason="No participant is left.")
    training.save(update_fields=["last_update"])


def _drop_answers(training: Training, leavers: list[UUID]) -> None:
    """Remove the updates and passed-on models of those who leave, except those that a claimed round counts."""
    open_answers = Answer.objects.filter(training=training, participant__in=leavers, counted=False)
    updates = LocalModel.objects.filter(base_model_id=training.model_id, answer__in=open_answers)
    current = rounds.current_round(training)
    updates.filter(round=current).delete()
    open_answers.filter(round=current).delete()
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


def _welcome(training: Training, round: int, newcomers: list[UUID]) -> None:
    tell_of_training(training, newcomers)
    if not training.locked:  # a claimed round takes no more answers: they are told of the next
        phase = Phase(training.phase)
        models = rounds.models_given(training, phase, newcomers)
        notify_round(training=training, phase=phase, round=round, model_ids=models)


def find_users(user_ids: Sequence[UUID | str]) -> list[User]:
    """The users. Raises InvalidRequest where an id is unknown or given twice."""
    wanted = [parse_uuid(identifier) for identifier in user_ids]
    found = list(User.objects.filter(pk__in=[identifier for identifier in wanted if identifier]))
    if len(found) != len(wanted):
        raise InvalidRequest("Not all provided users were found!")
    return found
