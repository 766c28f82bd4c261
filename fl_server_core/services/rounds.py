"""How a training's rounds open and end: row changes of a training whose row is locked by the caller."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models.delivery import Delivery, DeliveryStatus, NotificationType
from fl_server_core.models.model import LocalModel
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training, TrainingState
from fl_server_core.models.training_event import EventKind
from fl_server_core.models.user import User
from fl_server_core.options import TrainerOptions
from fl_server_core.selectors import rounds
from fl_server_core.selectors.models import parse_uuid
from fl_server_core.selectors.trainings import get_steerable_training
from fl_server_core.services.deliveries import notify, notify_round, supersede
from fl_server_core.services.history import record
from fl_server_core.transitions import move


def lock_training(training_id: UUID) -> Training | None:
    """The training, its row locked until the transaction ends; None if it is gone."""
    return Training.objects.select_for_update().filter(pk=training_id).first()


def lock_steerable(training_id: UUID | str, user: User) -> Training:
    """The training, its row locked until the transaction ends.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user is neither its actor nor staff.
    """
    get_steerable_training(training_id, user)
    identifier = parse_uuid(training_id)
    training = None if identifier is None else lock_training(identifier)
    if training is None:
        raise EntityNotFound("Training", training_id)
    return training


def open_phase(*, training: Training, phase: Phase, round: int, receivers: Iterable[UUID] | None = None) -> None:
    """Start the clock of a round and tell its participants, or only the receivers named. The caller saves."""
    release_claim(training)
    training.claim_attempts = 0
    move(training, TrainingState.SWAG_ROUND if phase == Phase.SWAG else TrainingState.ONGOING)
    training.phase = phase
    training.phase_since = timezone.now()
    seconds = TrainerOptions.tolerant(training.options).round_deadline
    training.deadline = None if seconds is None else training.phase_since + timedelta(seconds=seconds)
    told = rounds.participant_ids(training) if receivers is None else list(receivers)
    notify_round(training=training, phase=phase, round=round, model_ids=rounds.models_given(training, phase, told))


def fail_training(*, training: Training, round: int, reason: str, user_id: UUID | None = None) -> None:
    """Put a running training into state E, where it keeps its phase and round until somebody resumes it."""
    move(training, TrainingState.ERROR)
    _stop_clock(training)
    training.save()
    # What a worker had claimed is open again: who has left, or leaves before a resume, does not count.
    answers = training.answers.filter(phase=training.phase, round=round)
    leavers = answers.exclude(participant__in=training.participants.all())
    LocalModel.objects.filter(answer__in=leavers).delete()
    leavers.delete()
    answers.update(counted=False)
    supersede(training_id=training.id)
    record(training=training, kind=EventKind.FAILED, round=round, user_id=user_id, message=reason)


def finish_training(
    *,
    training: Training,
    round: int,
    state: TrainingState = TrainingState.COMPLETED,
    kind: EventKind = EventKind.FINISHED,
    user_id: UUID | None = None,
) -> None:
    """End a training and tell its participants and its actor, each once."""
    move(training, state)
    _stop_clock(training)
    training.phase = Phase.IDLE
    training.save()
    end_chains(training)
    supersede(training_id=training.id)
    notify(
        training=training,
        receiver_ids=sorted({*rounds.participant_ids(training), training.actor_id}),
        kind=NotificationType.TRAINING_FINISHED,
        body={"global_model_uuid": str(training.model_id)},
    )
    record(training=training, kind=kind, round=round, user_id=user_id)


def end_chains(training: Training) -> None:
    """Nobody works on a passed-on model any more, in this training or a later one of the same model."""
    LocalModel.objects.filter(base_model_id=training.model_id).update(passed_to=None)


def release_all_claims() -> None:
    """Let every lease run out now, of rounds and of deliveries: for a process that knows that it is the only one."""
    now = timezone.now()
    Training.objects.filter(locked=True).update(lease_until=now)
    Delivery.objects.filter(status=DeliveryStatus.PENDING).update(enqueued_at=None)


def release_claim(training: Training) -> None:
    """Whoever computes for the present claim will find that it is no longer theirs. The caller saves."""
    training.locked = False
    training.claim = None
    training.lease_until = None
    training.problem = ""
    training.problem_since = None


def _stop_clock(training: Training) -> None:
    release_claim(training)
    training.claim_attempts = 0
    training.deadline = None
