"""What is due: decided from rows alone, so that it does not matter who looks, when, or how often."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from fl_server_core.models.round import Round
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import RUNNING_STATES, Training
from fl_server_core.options import TrainerOptions

MAX_ATTEMPTS = 5


def due_rounds(now: datetime | None = None) -> QuerySet[Round]:
    """The open rounds of running trainings that somebody has to look at: complete, late, or with a lapsed lease.

    The one definition of what is due: the sweep asks it of all trainings, a nudge and a worker of one.
    """
    at = now or timezone.now()
    submitted = Submission.objects.filter(round=OuterRef(OuterRef("pk")), participant=OuterRef("user"))
    missing = Training.participants.through.objects.filter(~Exists(submitted), training=OuterRef("training"))
    is_free = Q(claim=None) & (~Exists(missing) | Q(deadline__lte=at))
    is_lapsed = Q(claim__isnull=False, lease_until__lte=at)
    return Round.objects.filter(
        is_free | is_lapsed, opened_at__isnull=False, closed_at=None, training__state__in=RUNNING_STATES
    )


def trainings_without_round() -> QuerySet[Training]:
    """Trainings that were put into a running state by hand: their first round is to be opened."""
    open_rounds = Round.objects.filter(training=OuterRef("pk"), opened_at__isnull=False, closed_at=None)
    return Training.objects.filter(~Exists(open_rounds), state__in=RUNNING_STATES)


@dataclass(frozen=True)
class Decision:
    """What becomes of a due round: it is closed, or, with a reason, its training fails."""

    expected: int
    failure: str = ""


def decide(training: Training, row: Round) -> Decision:
    """Look at a due round of a locked training."""
    if row.attempts >= MAX_ATTEMPTS:
        return Decision(0, f"The round could not be closed in {MAX_ATTEMPTS} attempts. The workers' logs say why.")
    if row.claim is not None:
        is_empty = not row.submissions.filter(counted=True).exists()
        failure = "The accounts of all who had submitted were deleted." if is_empty else ""
        return Decision(training.participants.count(), failure)
    expected = set(training.participants.values_list("id", flat=True))
    arrived = len(expected.intersection(row.submissions.values_list("participant_id", flat=True)))
    if not expected:
        return Decision(0, "All participants have left.")
    if arrived < len(expected):  # so it is the deadline that has passed
        needed = TrainerOptions.tolerant(training.options).submissions_needed(len(expected))
        if arrived < needed:
            people = "participant" if len(expected) == 1 else "participants"
            reason = f"At the deadline {arrived} of {len(expected)} {people} had submitted; "
            return Decision(len(expected), reason + ("1 is needed." if needed == 1 else f"{needed} are needed."))
    return Decision(len(expected))
