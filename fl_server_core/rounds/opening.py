"""How rounds open, and which comes next. The training's row is locked by the caller."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from fl_server_core.log_context import bound_ids
from fl_server_core.models.round import Round
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.options import TrainerOptions
from fl_server_core.rounds.ending import drop_submissions, finish_training
from fl_server_core.rounds.kinds import LAST, RoundKind, all_kinds, kind_of
from fl_server_core.selectors import rounds
from fl_server_core.services.deliveries import announce_round
from fl_server_core.transitions import move

logger = logging.getLogger(__name__)


def open_first(training: Training, number: int) -> Round:
    """Open the round that starts a cycle, from the model as it is."""
    return open_round(training, _starting_kind(training, number), number)


def open_next(training: Training, closed: Round) -> None:
    """Open the round that follows the one just closed, or finish the training."""
    number = rounds.current_round(training)
    following = _following_kind(training, closed, number)
    if following is None and rounds.is_target_reached(training, number):
        finish_training(training=training, number=number)
        return
    open_round(training, following or _starting_kind(training, number), number)


def open_round(training: Training, kind: RoundKind[Any], number: int, receivers: Sequence[UUID] | None = None) -> Round:
    """Start the clock of a round, which may exist already, and tell its participants, or only these receivers."""
    now = timezone.now()
    seconds = TrainerOptions.tolerant(training.options).round_deadline
    known = training.rounds.filter(number=number, kind=kind.name).first()
    row = known or Round(training=training, number=number, kind=kind.name)
    row.phase = kind.phase
    row.opened_at = now
    row.deadline = None if seconds is None else now + timedelta(seconds=seconds)
    row.closed_at, row.outcome = None, ""  # of a stopped training that was put into a running state by hand
    row.claim = row.lease_until = row.problem_since = None
    row.attempts, row.problem = 0, ""
    row.save()
    if training.state != kind.state:
        move(training, kind.state)
    Training.objects.filter(pk=training.pk).update(
        state=training.state, first_round=training.first_round, locked=False, last_update=now
    )
    training.locked = False
    prepare_next(training, row)
    with bound_ids(training_id=training.pk, round=number):
        logger.info("%s is open, until %s.", row, row.deadline or "everyone has answered")
    told = list(training.participants.values_list("id", flat=True)) if receivers is None else list(receivers)
    announce(training, row, told)
    return row


def announce(training: Training, row: Round, receivers: Sequence[UUID]) -> None:
    """Tell these participants of an open round, each with the model that it is given."""
    kind = kind_of(row.kind)
    given = kind.models_given(training, receivers)
    announce_round(training=training, row=row, notification=kind.notification, model_ids=given)


def prepare_next(training: Training, row: Round) -> None:
    """Make the row of the next cycle's first round, where it takes submissions while this one runs."""
    if rounds.is_target_reached(training, row.number):
        return
    kind = _starting_kind(training, row.number)
    known = training.rounds.filter(number=row.number, kind=kind.name)
    if row.kind in kind.early_in and not known.exists():
        Round.objects.create(training=training, number=row.number, kind=kind.name, phase=kind.phase)


def ensure_open(training: Training) -> Round | None:
    """The open round. A training that was put into a running state by hand has none: its first is opened."""
    row = rounds.open_round_of(training)
    if row is not None or not training.is_running:
        return row
    number = rounds.current_round(training)
    if training.first_round is None:
        training.first_round = number
    kind = _starting_kind(training, number)
    # The round may have been over, and the model restored since: what was sent to it does not count any more.
    over = training.rounds.filter(kind=kind.name, number=number, closed_at__isnull=False)
    drop_submissions(Submission.objects.filter(round__in=over))
    return open_round(training, kind, number)


def _starting_kind(training: Training, number: int) -> RoundKind[Any]:
    return next(kind for kind in all_kinds() if kind.starts_cycle and kind.wants(training, number))


def _following_kind(training: Training, closed: Round, number: int) -> RoundKind[Any] | None:
    """The next kind of the cycle that the training wants; None: the cycle is over."""
    order = all_kinds()
    place = [kind.name for kind in order].index(closed.kind)
    starting = {kind.name for kind in order if kind.starts_cycle}
    over = training.rounds.filter(number__in=(number - 1, number), closed_at__isnull=False)
    done = {closed.kind}
    done.update(kind for kind, at in over.values_list("kind", "number") if at == number or kind in starting)
    for kind in order[place + 1 :]:
        if not kind.starts_cycle and (kind.after == LAST or kind.after in done) and kind.wants(training, number):
            return kind
    return None
