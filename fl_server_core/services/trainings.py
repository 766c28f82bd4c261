from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from fl_server_core.archive import ArchiveError, check_compatible, check_writable
from fl_server_core.exceptions import EntityNotFound, InvalidRequest, NotAllowed
from fl_server_core.models.answer import Answer
from fl_server_core.models.delivery import Delivery, NotificationType
from fl_server_core.models.model import GlobalModel, LocalModel, MeanModel, Model, SWAGModel, clone_model
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training, TrainingState, UncertaintyMethod
from fl_server_core.models.training_event import EventKind
from fl_server_core.models.user import User
from fl_server_core.selectors import rounds
from fl_server_core.selectors.models import get_model, parse_uuid
from fl_server_core.selectors.trainings import get_steerable_training
from fl_server_core.services.deliveries import notify, notify_round, supersede
from fl_server_core.services.files import open_weights
from fl_server_core.services.history import record
from fl_server_core.services.rounds import end_chains, fail_training, finish_training, lock_training, open_phase

MODEL_KINDS: dict[str, tuple[type[GlobalModel], str]] = {
    UncertaintyMethod.SWAG: (SWAGModel, "a model of type SWAG"),
    UncertaintyMethod.ENSEMBLE: (MeanModel, "a model of type MEAN"),
}


def create_training(
    *,
    actor: User,
    model_id: UUID | str,
    target_num_updates: int,
    metric_names: Sequence[str],
    aggregation_method: str,
    uncertainty_method: str = UncertaintyMethod.NONE,
    options: dict[str, Any] | None = None,
    participant_ids: Sequence[UUID | str] = (),
) -> Training:
    """Register a training of a global model; of a model that already has one, a copy is trained.

    Raises:
        EntityNotFound, NotAllowed: no such model, or another's.
        InvalidRequest: unknown participants, or the model is not of the kind that the method needs.
    """
    model = get_model(model_id)
    if model.owner_id != actor.pk:
        raise NotAllowed
    if not isinstance(model, GlobalModel):
        raise InvalidRequest(f"Model {model.pk} is a local model. Choose a global model to train.")
    kind, wanted = MODEL_KINDS.get(uncertainty_method, (GlobalModel, ""))
    if not isinstance(model, kind):
        raise InvalidRequest(f"The uncertainty method {uncertainty_method} needs {wanted}.")
    if not isinstance(model, MeanModel):
        _require_trainable(model)
    participants = _find_users(participant_ids)
    with transaction.atomic():
        # The row is locked so that two requests for one model do not both find it without a training.
        Model.objects.non_polymorphic().select_for_update().get(pk=model.pk)
        if Training.objects.filter(model=model).exists():
            model = clone_model(model)
        training = Training.objects.create(
            model=model,
            actor=actor,
            target_num_updates=target_num_updates,
            metric_names=list(metric_names),
            aggregation_method=aggregation_method,
            uncertainty_method=uncertainty_method,
            options=options or {},
        )
        training.participants.set(participants)
    return training


def start_training(*, training_id: UUID | str, user: User) -> None:
    """Open the first round.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user is neither its actor nor staff.
        InvalidRequest: it has been started, has no participants, or its model cannot be trained.
    """
    with transaction.atomic():
        training = _lock_steerable(training_id, user)
        if training.state != TrainingState.INITIAL:
            raise InvalidRequest(f"Training {training.id} is not in state INITIAL!")
        _require_participants(training)
        model = training.model
        if isinstance(model, MeanModel):
            raise InvalidRequest(f"Model {model.pk} is a mean of other models. Train these instead.")
        training.first_round = model.round
        notify(
            training=training,
            receiver_ids=rounds.participant_ids(training),
            kind=NotificationType.TRAINING_START,
            body={"global_model_uuid": str(model.pk)},
        )
        open_phase(training=training, phase=Phase.UPDATE, round=model.round)
        training.save()
        record(training=training, kind=EventKind.STARTED, round=model.round, user_id=user.pk)


def delete_training(*, training_id: UUID | str, user: User) -> None:
    """Remove a training; its model and updates stay. Participants of a running one are told.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user is neither its actor nor staff.
    """
    get_steerable_training(training_id, user, "You are not the owner the training.")
    with transaction.atomic():
        discard_training(parse_uuid(training_id))


def discard_training(training_id: UUID | None) -> None:
    """Remove a training within the caller's transaction and tell the participants of a running one."""
    training = None if training_id is None else lock_training(training_id)
    if training is None:
        return
    supersede(training_id=training.id)
    if training.is_running:
        notify(
            training=training,
            receiver_ids=rounds.participant_ids(training),
            kind=NotificationType.CLIENT_REMOVED,
        )
    end_chains(training)
    # By hand, since the collector would hold the outdated rows: a delivery outlives its training.
    Delivery.objects.filter(training=training).update(training=None)
    training.delete()


def add_participants(*, training_id: UUID | str, user: User, user_ids: Sequence[UUID | str]) -> None:
    """Register participants; those who join a running training are told of it and of the open round.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; unknown users or one user twice.
    """
    users = _find_users(user_ids)
    with transaction.atomic():
        training = _lock_steerable(training_id, user)
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


def _welcome(training: Training, round: int, newcomers: list[UUID]) -> None:
    notify(
        training=training,
        receiver_ids=newcomers,
        kind=NotificationType.TRAINING_START,
        body={"global_model_uuid": str(training.model_id)},
    )
    if not training.locked:  # a claimed round takes no more answers: they are told of the next
        phase = Phase(training.phase)
        models = rounds.models_given(training, phase, newcomers)
        notify_round(training=training, phase=phase, round=round, model_ids=models)


def remove_participants(*, training_id: UUID | str, user: User, user_ids: Sequence[UUID | str]) -> None:
    """Take participants out of a training and tell them.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; unknown users or one user twice.
    """
    users = _find_users(user_ids)
    with transaction.atomic():
        training = _lock_steerable(training_id, user)
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


def resume_training(*, training_id: UUID | str, user: User) -> None:
    """Take a failed training back to the phase and round in which it failed; who has not answered is told again.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; not in state E, or nobody to go on with.
    """
    with transaction.atomic():
        training = _lock_steerable(training_id, user)
        if training.state == TrainingState.ERROR and training.phase == Phase.IDLE:
            raise InvalidRequest(f"Training {training.id} was stopped: only a failed one can be resumed.")
        if training.state != TrainingState.ERROR:
            raise InvalidRequest(f"Training {training.id} is not in state ERROR: only a failed one can be resumed.")
        _require_participants(training)
        phase, current = Phase(training.phase), rounds.current_round(training)
        answered = rounds.answered_ids(training, phase, current)
        missing = [person for person in rounds.participant_ids(training) if person not in answered]
        open_phase(training=training, phase=phase, round=current, receivers=missing)
        training.save()
        record(training=training, kind=EventKind.RESUMED, round=current, user_id=user.pk)


def stop_training(*, training_id: UUID | str, user: User) -> None:
    """End a running training where it is: completed if a round was closed, else in error.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; the training is not running.
    """
    with transaction.atomic():
        training = _lock_steerable(training_id, user)
        if not training.is_running:
            raise InvalidRequest(f"Training {training.id} is not running.")
        current = rounds.current_round(training)
        is_closed = rounds.rounds_closed(training, current) > 0
        finish_training(
            training=training,
            round=current,
            state=TrainingState.COMPLETED if is_closed else TrainingState.ERROR,
            kind=EventKind.STOPPED,
            user_id=user.pk,
        )


def _lock_steerable(training_id: UUID | str, user: User) -> Training:
    get_steerable_training(training_id, user)
    identifier = parse_uuid(training_id)
    training = None if identifier is None else lock_training(identifier)
    if training is None:
        raise EntityNotFound("Training", training_id)
    return training


def _require_trainable(model: GlobalModel) -> None:
    try:
        with open_weights(model) as archive:
            check_writable(archive)
            check_compatible(archive, archive)  # names that overlap in memory, too large to be compared
    except ArchiveError as error:
        raise InvalidRequest(f"Model {model.pk} cannot be trained. {error}") from error


def _require_participants(training: Training) -> None:
    if not training.participants.exists():
        raise InvalidRequest("At least one participant must be registered!")


def _find_users(user_ids: Sequence[UUID | str]) -> list[User]:
    wanted = [parse_uuid(identifier) for identifier in user_ids]
    found = list(User.objects.filter(pk__in=[identifier for identifier in wanted if identifier]))
    if len(found) != len(wanted):
        raise InvalidRequest("Not all provided users were found!")
    return found
