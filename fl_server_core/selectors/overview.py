"""What goes on on the server, for those who watch it. A constant number of statements, whatever there is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Case, Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Subquery, When, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from fl_server_core.models.delivery import Delivery, DeliveryStatus
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.round import Round, RoundOutcome
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import RUNNING_STATES, Training, TrainingState
from fl_server_core.rounds.due import due_rounds

MAX_ROWS = 20
NAMES = 3
"""So many of those who are awaited are named."""


@dataclass(frozen=True)
class OpenRound:
    """The open round of a running training. awaited: how many; names: the first few of them."""

    training_id: UUID
    name: str
    number: int
    target: int
    kind: str
    since: datetime | None
    deadline: datetime | None
    is_claimed: bool
    problem: str
    expected: int
    awaited: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Stopped:
    """A training in error, and why."""

    training_id: UUID
    name: str
    at: datetime
    reason: str


@dataclass(frozen=True)
class Pace:
    """Rounds closed in the last hour and the last day, and when the last one was."""

    hour: int
    day: int
    last: datetime | None


@dataclass(frozen=True)
class Notifications:
    """failed: given up in the last day. failing: tried and still to be delivered. oldest: since when one waits."""

    failed: int
    failing: int
    oldest: datetime | None


@dataclass(frozen=True)
class Queue:
    """What workers have to do. due: rounds, since when the oldest one is. claimed: rounds that are being closed."""

    due: int
    since: datetime | None
    claimed: int


def trainings_by_state() -> dict[str, int]:
    rows = Training.objects.order_by().values_list("state").annotate(number=Count("pk"))
    return dict(rows)


def open_rounds(limit: int = MAX_ROWS, trainings: QuerySet[Training] | None = None) -> list[OpenRound]:
    """The open rounds of running trainings, of all or of these: those that have waited longest first."""
    taking_part: QuerySet[Any, Any] = Training.participants.through.objects.filter(
        training=OuterRef("training")
    ).order_by()
    submitted = Submission.objects.filter(round=OuterRef(OuterRef("pk")), participant=OuterRef("user"))
    counted = taking_part.values("training").annotate(number=Count("pk")).values("number")
    missing = taking_part.filter(~Exists(submitted)).values("training").annotate(number=Count("pk")).values("number")
    found = Round.objects.filter(opened_at__isnull=False, closed_at=None, training__state__in=RUNNING_STATES)
    if trainings is not None:
        found = found.filter(training__in=trainings.order_by().values("pk"))
    rows = list(
        found.select_related("training")
        .annotate(name=F("training__model__globalmodel__name"), expected=Subquery(counted), missing=Subquery(missing))
        .order_by("opened_at", "id")[:limit]
    )
    names = _names_of_awaited([row.pk for row in rows])
    return [
        OpenRound(
            training_id=row.training_id,
            name=row.name or "",
            number=row.number - (row.training.first_round or 0) + 1,
            target=row.training.target_num_updates,
            kind=row.kind,
            since=row.opened_at,
            deadline=row.deadline,
            is_claimed=row.claim is not None,
            problem=row.problem,
            expected=row.expected or 0,
            awaited=row.missing or 0,
            names=tuple(names[row.pk]),
        )
        for row in rows
    ]


def _names_of_awaited(round_ids: Sequence[int]) -> dict[int, list[str]]:
    """By round: the first few participants who have not submitted."""
    submitted = Submission.objects.filter(round=OuterRef("training__rounds__pk"), participant=OuterRef("user"))
    taking_part: QuerySet[Any, Any] = Training.participants.through.objects.all()
    rows = (
        taking_part.filter(~Exists(submitted), training__rounds__in=round_ids)
        .annotate(place=Window(RowNumber(), partition_by="training__rounds", order_by="user__username"))
        .filter(place__lte=NAMES)
        .values_list("training__rounds", "user__username")
    )
    names = defaultdict(list)
    for round_id, name in rows:
        names[round_id].append(name)
    return names


def failed_trainings(limit: int = MAX_ROWS) -> list[Stopped]:
    """The trainings in error, the latest first."""
    reason = Event.objects.filter(training=OuterRef("pk"), kind=EventKind.FAILED).order_by("-id").values("message")[:1]
    rows = (
        Training.objects.filter(state=TrainingState.ERROR)
        .annotate(name=F("model__globalmodel__name"), reason=Subquery(reason))
        .order_by("-last_update")[:limit]
    )
    return [Stopped(row.pk, row.name or "", row.last_update, row.reason or "Stopped by hand.") for row in rows]


def pace(now: datetime | None = None) -> Pace:
    """How many rounds were closed within the last hour and the last day. One statement."""
    at = now or timezone.now()
    found = Round.objects.filter(outcome=RoundOutcome.CLOSED, closed_at__gt=at - timedelta(days=1)).aggregate(
        hour=Count("pk", filter=Q(closed_at__gt=at - timedelta(hours=1))), day=Count("pk"), last=Max("closed_at")
    )
    return Pace(**found)


def notifications(now: datetime | None = None) -> Notifications:
    """How many notifications fail."""
    at = now or timezone.now()
    is_failing = Q(status=DeliveryStatus.PENDING) & ~Q(last_error="")
    given_up = Q(status=DeliveryStatus.FAILED, settled_at__gt=at - timedelta(days=1))
    found = Delivery.objects.filter(is_failing | given_up).aggregate(
        failed=Count("pk", filter=Q(status=DeliveryStatus.FAILED)),
        failing=Count("pk", filter=is_failing),
        oldest=Min("created_at", filter=is_failing),
    )
    return Notifications(**found)


def queue(now: datetime | None = None) -> Queue:
    """The rounds that are due: with a lapsed lease, at their deadline, or since the last submission."""
    at = now or timezone.now()
    last = Submission.objects.filter(round=OuterRef("pk")).order_by("-submitted_at").values("submitted_at")[:1]
    since = Case(
        When(claim__isnull=False, then=F("lease_until")), When(deadline__lte=at, then=F("deadline")), default=last
    )
    due = due_rounds(at).annotate(since=since).aggregate(due=Count("pk"), oldest=Min("since"))
    claimed = Round.objects.filter(claim__isnull=False, closed_at=None).count()
    return Queue(due["due"], due["oldest"], claimed)
