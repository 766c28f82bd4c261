from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db import transaction

from fl_server_core import policies
from fl_server_core.archive import ArchiveError, check_compatible, check_writable
from fl_server_core.exceptions import EntityNotFound, InvalidRequest, NotAllowed
from fl_server_core.models.delivery import Delivery, NotificationType
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import GlobalModel, MeanModel, SWAGModel, clone_model
from fl_server_core.models.training import Training, TrainingState, UncertaintyMethod
from fl_server_core.models.user import User
from fl_server_core.registry import Unsuitable, aggregation_methods, uncertainty_methods
from fl_server_core.rounds.ending import end_chains, finish_training
from fl_server_core.rounds.kinds import kind_of
from fl_server_core.rounds.opening import open_first, open_round, prepare_next
from fl_server_core.selectors import rounds
from fl_server_core.selectors.models import get_model, lock_model
from fl_server_core.selectors.trainings import get_training, lock_steerable, lock_training
from fl_server_core.selectors.users import find_users, lock_users
from fl_server_core.services.budgets import require_budget
from fl_server_core.services.deliveries import notify, supersede, supersede_invitations
from fl_server_core.services.files import open_weights
from fl_server_core.services.history import record
from fl_server_core.services.participants import CONSENT, ask, newcomers_of, tell_of_training
from fl_server_core.signals import training_resumed
from fl_server_core.trail import note_training

MODEL_KINDS: dict[str, tuple[type[GlobalModel], str]] = {
    "SWAGModel": (SWAGModel, "a model of type SWAG"),
    "MeanModel": (MeanModel, "a model of type MEAN"),
}
EDITABLE = frozenset({"target_num_updates", "options", "metric_names"})


def create_training(
    *,
    actor: User,
    model_id: UUID,
    target_num_updates: int,
    metric_names: Sequence[str],
    aggregation_method: str,
    uncertainty_method: str = UncertaintyMethod.NONE,
    options: dict[str, Any] | None = None,
    participant_ids: Sequence[UUID] = (),
) -> Training:
    """Register a training of a global model. If the model already has a training, the new one gets a copy of it.

    With FL_ENROLMENT `consent`, the participants are invited.

    Raises:
        EntityNotFound, NotAllowed: no such model, or another's, or the user may not create trainings.
        InvalidRequest: unknown participants, or the model is not of the kind that the method needs.
        BudgetSpent: the actor has as many trainings, or models, as an account may have.
    """
    model = _trainable_model(model_id, actor, aggregation_method, uncertainty_method)
    if not isinstance(model, MeanModel):
        _require_trainable(model, aggregation_method, options or {})
    find_users(participant_ids)
    with transaction.atomic():
        training = Training.objects.create(
            model=_untrained(model),
            actor=actor,
            target_num_updates=target_num_updates,
            metric_names=list(metric_names),
            aggregation_method=aggregation_method,
            uncertainty_method=uncertainty_method,
            options=options or {},
        )
        note_training(training)
        added = ("trainings",) if training.model_id == model.pk else ("trainings", "models")
        require_budget(account=actor, added=added, others=participant_ids)
        people = lock_users(participant_ids)
        if settings.FL_ENROLMENT == CONSENT:
            ask(training=training, people=people, author=actor)
        else:
            training.participants.set(people)
    return training


def _trainable_model(model_id: UUID, actor: User, aggregation_method: str, uncertainty_method: str) -> GlobalModel:
    model = get_model(model_id)
    if not policies.owns(actor, model) or not policies.may_create_training(actor):
        raise NotAllowed
    if not isinstance(model, GlobalModel):
        raise InvalidRequest(f"Model {model.pk} is a local model. Choose a global model to train.")
    _require_kind(
        model, f"The uncertainty method {uncertainty_method}", uncertainty_methods[uncertainty_method].model_kind
    )
    _require_kind(
        model, f"The aggregation method {aggregation_method}", aggregation_methods[aggregation_method].model_kind
    )
    return model


def _require_kind(model: GlobalModel, method: str, model_kind: str) -> None:
    kind, wanted = MODEL_KINDS.get(model_kind, (GlobalModel, ""))
    if not isinstance(model, kind):
        raise InvalidRequest(f"{method} needs {wanted}.")


def _require_trainable(model: GlobalModel, aggregation_method: str, options: Mapping[str, Any]) -> None:
    if not model.weights_file:
        raise InvalidRequest(f"Model {model.pk} has no weights to train. Upload it again.")
    method = cast("type[Any]", aggregation_methods[aggregation_method])
    try:
        with open_weights(model) as archive:
            check_writable(archive)
            check_compatible(archive, archive)  # names that overlap in memory, too large to be compared
            method(options.get("aggregation")).check_model(archive)
    except (ArchiveError, Unsuitable) as error:
        raise InvalidRequest(f"Model {model.pk} cannot be trained. {error}") from error


def _untrained(model: GlobalModel) -> GlobalModel:
    """The model, locked so that two requests do not both find it without a training; if it has one, its copy."""
    if lock_model(model.pk) is None:
        raise EntityNotFound("Model", model.pk)
    if not Training.objects.filter(model=model).exists():
        return model
    now = get_model(model.pk)  # a round may have closed since the row was read
    assert isinstance(now, GlobalModel)  # noqa: S101  a model's kind never changes
    return clone_model(now)


def edit_training(*, training_id: UUID, user: User, values: Mapping[str, Any]) -> None:
    """Change what is asked of a training: its target, options or metric names.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user may not steer it.
        ValueError: another column.
    """
    if not values.keys() <= EDITABLE:
        raise ValueError(f"Only {', '.join(sorted(EDITABLE))} can be edited.")
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        for name, value in values.items():
            setattr(training, name, value)
        training.save(update_fields=[*values, "last_update"])
        row = rounds.open_round_of(training)
        if row is not None and training.is_running:
            prepare_next(training, row)  # a higher target makes another round
        number = rounds.current_round(training)
        record(training=training, kind=EventKind.EDITED, number=number, author_id=user.pk, values=dict(values))


def start_training(*, training_id: UUID, user: User) -> None:
    """Open the first round.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user may not steer it.
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
        open_first(training, model.round)
        record(training=training, kind=EventKind.STARTED, number=model.round, user_id=user.pk, author_id=user.pk)


def delete_training(*, training_id: UUID, user: User) -> None:
    """Remove a training; its model and updates stay. Participants of a running one are told.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user may not delete it.
    """
    if not policies.may_delete_training(user, get_training(training_id)):
        raise NotAllowed("You are not the owner the training.")
    with transaction.atomic():
        discard_training(training_id, author_id=user.pk)


def discard_training(training_id: UUID, *, author_id: UUID) -> None:
    """Remove a training within the caller's transaction and tell the participants of a running one."""
    training = lock_training(training_id)
    if training is None:
        return
    supersede(training_id=training.id)
    supersede_invitations(training_id=training.id)
    if training.is_running:
        notify(
            training=training,
            receiver_ids=rounds.participant_ids(training),
            kind=NotificationType.CLIENT_REMOVED,
        )
    end_chains(training)
    # By hand, since the collector would hold the outdated rows: a delivery outlives its training.
    Delivery.objects.filter(training=training).update(training=None, round=None)
    record(
        training=None,
        model=training.model,
        kind=EventKind.DELETED,
        number=rounds.current_round(training),
        author_id=author_id,
        message=f"Training {training.id} was deleted.",
    )
    training.delete()


def resume_training(*, training_id: UUID, user: User) -> None:
    """Reopen the round in which a training failed; participants who have not submitted are told again.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; not in state E, or nobody to go on with.
    """
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        row = rounds.open_round_of(training)
        if training.state == TrainingState.ERROR and row is None:
            raise InvalidRequest(f"Training {training.id} was stopped: only a failed one can be resumed.")
        if training.state != TrainingState.ERROR or row is None:
            raise InvalidRequest(f"Training {training.id} is not in state ERROR: only a failed one can be resumed.")
        _require_participants(training)
        submitted = rounds.submitted_ids(row)
        participants = rounds.participant_ids(training)
        missing = [person for person in participants if person not in submitted]
        tell_of_training(training, newcomers_of(training, participants))
        open_round(training, kind_of(row.kind), row.number, receivers=missing)
        record(training=training, kind=EventKind.RESUMED, number=row.number, user_id=user.pk, author_id=user.pk)
        training_resumed.send(sender=Training, training_id=training.pk)


def stop_training(*, training_id: UUID, user: User) -> None:
    """End a running training where it is: completed if a round was closed, else in error.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: as everywhere; the training is not running.
    """
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        if not training.is_running:
            raise InvalidRequest(f"Training {training.id} is not running.")
        number = rounds.current_round(training)
        is_closed = rounds.rounds_closed(training, number) > 0
        finish_training(
            training=training,
            number=number,
            state=TrainingState.COMPLETED if is_closed else TrainingState.ERROR,
            kind=EventKind.STOPPED,
            author_id=user.pk,
        )


def _require_participants(training: Training) -> None:
    if not training.participants.exists():
        raise InvalidRequest("At least one participant must be registered!")
