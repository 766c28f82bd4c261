"""What is due in a training: decided from rows alone, so that it does not matter who looks, when, or how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models import Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from fl_server_core.models.answer import Answer
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import RUNNING_STATES, Training
from fl_server_core.options import TrainerOptions
from fl_server_core.selectors import rounds


@dataclass(frozen=True)
class Due:
    """The open round is to be closed, or, with a reason, the training to be failed."""

    round: int
    arrived: int
    expected: int
    failure: str = ""
    missing: list[UUID] = field(default_factory=list)


def what_is_due(training: Training) -> Due | None:
    """What the state of a training asks for now; None: wait.

    A round whose claim has a running lease is somebody's already. One whose lease has run out is to be closed with the
    answers that were claimed.
    """
    if not training.is_running:
        return None
    now = timezone.now()
    current = rounds.current_round(training)
    if training.locked:
        if _has_lease(training, now):
            return None
        is_empty = not training.answers.filter(phase=training.phase, round=current, counted=True).exists()
        return Due(current, 0, 0, failure="The accounts of all who had answered were deleted." if is_empty else "")
    participants = rounds.participant_ids(training)
    answered = rounds.answered_ids(training, Phase(training.phase), current)
    missing = [person for person in participants if person not in answered]
    arrived = len(participants) - len(missing)
    due = Due(current, arrived, len(participants), missing=missing)
    if not participants:
        return Due(current, 0, 0, failure="No participant is left.")
    if not missing:
        return due
    if training.deadline is None or now < training.deadline:
        return None
    needed = TrainerOptions.tolerant(training.options).submissions_needed(len(participants))
    if arrived >= needed:
        return due
    reason = f"At the deadline {arrived} of {len(participants)} participants had answered; {needed} are needed."
    return Due(current, arrived, len(participants), failure=reason, missing=missing)


def trainings_to_look_at() -> QuerySet[Training]:
    """The running trainings in which something may be due, found in one statement."""
    now = timezone.now()
    answers = (
        Answer.objects.filter(training=OuterRef("pk"), phase=OuterRef("phase"), round=OuterRef("model__round"))
        .order_by()
        .values("training")
        .annotate(number=Count("pk"))
        .values("number")
    )
    counted = Training.objects.filter(state__in=RUNNING_STATES).annotate(
        expected=Count("participants"), answered=Coalesce(Subquery(answers, output_field=IntegerField()), 0)
    )
    open_ones = Q(locked=False) & (Q(answered__gte=F("expected")) | Q(deadline__lte=now))
    return counted.filter(open_ones | Q(locked=True, lease_until__lte=now))


def _has_lease(training: Training, now: datetime) -> bool:
    return training.lease_until is not None and now < training.lease_until
