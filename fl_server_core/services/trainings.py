from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from fl_server_core.archive import ArchiveError, check_compatible, check_writable
from fl_server_core.exceptions import EntityNotFound, InvalidRequest, NotAllowed
from fl_server_core.models.delivery import Delivery, NotificationType
from fl_server_core.models.model import GlobalModel, MeanModel, Model, SWAGModel, clone_model, copy_files
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training, TrainingState, UncertaintyMethod
from fl_server_core.models.training_event import EventKind
from fl_server_core.models.user import User
from fl_server_core.selectors import rounds
from fl_server_core.selectors.models import get_model, parse_uuid
from fl_server_core.selectors.trainings import get_steerable_training
from fl_server_core.services.deliveries import notify, supersede
from fl_server_core.services.files import OPEN_ATTEMPTS, NewFiles, open_weights
from fl_server_core.services.history import record
from fl_server_core.services.participants import find_users, newcomers_of, tell_of_training
from fl_server_core.services.rounds import end_chains, finish_training, lock_steerable, lock_training, open_phase

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
    participants = find_users(participant_ids)
    with NewFiles() as files:
        # Copied before the transaction, during which SQLite lets nobody else write.
        copies = None
        if Training.objects.filter(model=model).exists():
            model, copies = _copied(_read_again(model))
            files.names += copies.values()
        with transaction.atomic():
            training = Training.objects.create(
                model=_untrained(model, copies, files),
                actor=actor,
                target_num_updates=target_num_updates,
                metric_names=list(metric_names),
                aggregation_method=aggregation_method,
                uncertainty_method=uncertainty_method,
                options=options or {},
            )
            training.participants.set(participants)
    return training


def _copied(model: GlobalModel) -> tuple[GlobalModel, dict[str, str]]:
    """The model's row, and copies of its files; as they are by now, if a round that closes replaces them meanwhile."""
    for _attempt in range(OPEN_ATTEMPTS - 1):
        with contextlib.suppress(FileNotFoundError):
            return model, copy_files(model)
        model = _read_again(model)
    return model, copy_files(model)


def _read_again(model: GlobalModel) -> GlobalModel:
    found = get_model(model.pk)
    assert isinstance(found, GlobalModel)  # noqa: S101  a model's kind never changes
    return found


def _untrained(model: GlobalModel, copies: Mapping[str, str] | None, files: NewFiles) -> GlobalModel:
    """The model, locked so that two requests do not both find it without a training; if it has one, its copy."""
    if Model.objects.non_polymorphic().select_for_update().filter(pk=model.pk).first() is None:
        raise EntityNotFound("Model", model.pk)
    if Training.objects.filter(model=model).exists():
        return clone_model(model, copies)
    files.discard()  # its training has just been deleted
    return model


def start_training(*, training_id: UUID | str, user: User) -> None:
    """Open the first round.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user is neither its actor nor staff.
        InvalidRequest: it has been started, has no participants, or its model cannot be trained.
    """
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        if training.state != TrainingState.INITIAL:
            raise InvalidRequest(f"Training {training.id} is not in state INITIAL!")
        _require_participants(training)
        model = training.model
        if isinstance(model, MeanModel):
            raise InvalidRequest(f"Model {model.pk} is a mean of other models. Train these instead.")
        training.first_round = model.round
        tell_of_training(training, rounds.participant_ids(training))
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


def resume_training(*, training_id: UUID | str, user: User) -> None:
    """Take a failed training back to the phase and round in which it failed; who has not answered is told again.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; not in state E, or nobody to go on with.
    """
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        if training.state == TrainingState.ERROR and training.phase == Phase.IDLE:
            raise InvalidRequest(f"Training {training.id} was stopped: only a failed one can be resumed.")
        if training.state != TrainingState.ERROR:
            raise InvalidRequest(f"Training {training.id} is not in state ERROR: only a failed one can be resumed.")
        _require_participants(training)
        phase, current = Phase(training.phase), rounds.current_round(training)
        answered = rounds.answered_ids(training, phase, current)
        participants = rounds.participant_ids(training)
        missing = [person for person in participants if person not in answered]
        tell_of_training(training, newcomers_of(training, participants))
        open_phase(training=training, phase=phase, round=current, receivers=missing)
        training.save()
        record(training=training, kind=EventKind.RESUMED, round=current, user_id=user.pk)


def stop_training(*, training_id: UUID | str, user: User) -> None:
    """End a running training where it is: completed if a round was closed, else in error.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; the training is not running.
    """
    with transaction.atomic():
        training = lock_steerable(training_id, user)
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
