"""How trainings fail and finish. The training's row is locked by the caller."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from fl_server_core.log_context import bound_ids
from fl_server_core.models.delivery import Delivery, DeliveryStatus, NotificationType
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import LocalModel
from fl_server_core.models.round import Round, RoundOutcome
from fl_server_core.models.submission import Submission, SubmissionFile
from fl_server_core.models.training import Training, TrainingState
from fl_server_core.options import TrainerOptions
from fl_server_core.selectors import rounds
from fl_server_core.services.deliveries import notify, supersede, supersede_invitations
from fl_server_core.services.history import record
from fl_server_core.transitions import move

logger = logging.getLogger(__name__)


def mark_closed(row: Round, outcome: RoundOutcome = RoundOutcome.CLOSED) -> None:
    """Mark a round as over, and its claim as done."""
    row.closed_at = timezone.now()
    row.outcome = outcome
    row.claim = row.lease_until = row.problem_since = None
    row.problem = ""
    row.save()
    SubmissionFile.objects.filter(submission__round=row).delete()  # what was to be made of them is made, or never will


def fail_training(*, training: Training, reason: str, user_id: UUID | None = None) -> None:
    """Put a running training into state E. Its round stays open, without a clock, until somebody resumes it."""
    move(training, TrainingState.ERROR)
    training.locked = False
    training.save()
    row = rounds.open_round_of(training)
    if row is not None:
        _stop_clock(training, row)
    supersede(training_id=training.id)
    number = rounds.current_round(training)
    record(training=training, kind=EventKind.FAILED, number=number, user_id=user_id, message=reason)
    with bound_ids(training_id=training.pk, round=number):
        logger.error("%s failed in round %s: %s", training, number, reason)


def _stop_clock(training: Training, row: Round) -> None:
    """What a worker had claimed is open again; who has left the training, or leaves before a resume, won't count."""
    row.claim = row.lease_until = row.deadline = row.problem_since = None
    row.attempts, row.problem = 0, ""
    row.save()
    drop_submissions(row.submissions.exclude(participant__in=training.participants.all()))
    row.submissions.update(counted=False)


def finish_training(
    *,
    training: Training,
    number: int,
    state: TrainingState = TrainingState.COMPLETED,
    kind: EventKind = EventKind.FINISHED,
    author_id: UUID | None = None,
) -> None:
    """End a training and tell its participants and its actor, each once."""
    move(training, state)
    training.locked = False
    training.save()
    row = rounds.open_round_of(training)
    if row is not None:
        mark_closed(row, RoundOutcome.ABANDONED)
        if TrainerOptions.tolerant(training.options).delete_local_models_after_aggregation:
            drop_submissions(row.submissions.all())
    _drop_unopened(training)
    end_chains(training)
    supersede(training_id=training.id)
    supersede_invitations(training_id=training.id)
    notify(
        training=training,
        receiver_ids=sorted({*rounds.participant_ids(training), training.actor_id}),
        kind=NotificationType.TRAINING_FINISHED,
        body={"global_model_uuid": str(training.model_id)},
    )
    record(training=training, kind=kind, number=number, user_id=author_id, author_id=author_id)
    with bound_ids(training_id=training.pk, round=number):
        logger.info("%s %s in round %s, state %s.", training, kind.label, number, state)


def _drop_unopened(training: Training) -> None:
    """Nobody will look at early submissions to a round that does not come."""
    unopened = training.rounds.filter(opened_at=None)
    drop_submissions(Submission.objects.filter(round__in=unopened))
    unopened.delete()


def drop_submissions(submissions: QuerySet[Submission]) -> None:
    """Remove submissions with the updates that they brought."""
    LocalModel.objects.filter(submission__in=submissions).delete()
    submissions.delete()


def end_chains(training: Training) -> None:
    """Nobody works on a passed-on model any more, in this training or a later one of the same model."""
    LocalModel.objects.filter(base_model_id=training.model_id).update(passed_to=None)


def release_all_claims() -> None:
    """Let every lease run out now, of rounds and of deliveries: for a process that knows that it is the only one."""
    Round.objects.filter(claim__isnull=False, closed_at=None).update(lease_until=timezone.now())
    Delivery.objects.filter(status=DeliveryStatus.PENDING).update(enqueued_at=None)
