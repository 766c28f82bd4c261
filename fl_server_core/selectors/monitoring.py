"""Figures of rows, for programs that watch the server.

A constant number of statements. What they cost depends on what is going on and went on in the last hour, not on all
that ever was: old rounds and deliveries are found by indexes, or not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Avg, Count, DurationField, Exists, ExpressionWrapper, F, Max, Min, OuterRef, Q, QuerySet
from django.utils import timezone

from fl_server_core.models.delivery import Delivery, DeliveryStatus
from fl_server_core.models.round import Round
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import RUNNING_STATES, Training, TrainingState
from fl_server_core.selectors.overview import queue, trainings_by_state

HOUR = timedelta(hours=1)
STATEMENT_MILLISECONDS = 3500
"""PostgreSQL gives up on a statement that takes longer."""


@dataclass(frozen=True)
class RoundFigures:
    """Of one kind of round. open, held, lapsed (leases) and failing: now; the others: in the last hour.

    closed: by outcome. mean and longest: from the opening to the closing, in seconds.
    """

    open: int
    opened: int
    held: int
    lapsed: int
    failing: int
    closed: Mapping[str, int]
    mean: float
    longest: float


@dataclass(frozen=True)
class DeliveryFigures:
    """due, later, fetched (they wait until their receiver asks for them) and failing: now. oldest: when the oldest due
    one became so. settled: by status in the last hour."""

    due: int
    later: int
    fetched: int
    failing: int
    oldest: datetime | None
    settled: Mapping[str, int]


@dataclass(frozen=True)
class RowFigures:
    """due: rounds that somebody has to look at, and since when the oldest one is. awaited: participants that open
    rounds of running trainings wait for."""

    at: datetime
    trainings: Mapping[str, int]
    rounds: Mapping[str, RoundFigures]
    due: int
    due_since: datetime | None
    awaited: int
    deliveries: DeliveryFigures


def row_figures() -> RowFigures:
    """All figures of rows."""
    if connection.vendor != "postgresql":
        return _row_figures()  # a transaction would keep others from writing
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(STATEMENT_MILLISECONDS)])
        return _row_figures()


def _row_figures() -> RowFigures:
    now = timezone.now()
    work = queue(now)
    states = trainings_by_state()
    return RowFigures(
        at=now,
        trainings={state.name.lower(): states.get(state, 0) for state in TrainingState},
        rounds=_rounds(now),
        due=work.due,
        due_since=work.since,
        awaited=_awaited(),
        deliveries=_deliveries(now),
    )


def _rounds(now: datetime) -> dict[str, RoundFigures]:
    is_open = Q(opened_at__isnull=False, closed_at__isnull=True, training__state__in=RUNNING_STATES)
    since = now - HOUR
    lasting = ExpressionWrapper(F("closed_at") - F("opened_at"), output_field=DurationField())
    rows = (
        Round.objects.filter(is_open | Q(closed_at__gt=since))
        .order_by()
        .values("kind", "outcome")
        .annotate(
            open=Count("pk", filter=is_open),
            opened=Count("pk", filter=Q(opened_at__gt=since)),
            held=Count("pk", filter=is_open & Q(claim__isnull=False, lease_until__gt=now)),
            lapsed=Count("pk", filter=is_open & Q(claim__isnull=False, lease_until__lte=now)),
            failing=Count("pk", filter=is_open & ~Q(problem="")),
            closed=Count("pk", filter=Q(closed_at__isnull=False)),
            mean=Avg(lasting),
            longest=Max(lasting),
        )
    )
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    return {kind: _of_kind(found) for kind, found in sorted(by_kind.items())}


def _of_kind(rows: list[Mapping[str, Any]]) -> RoundFigures:
    timed = [row for row in rows if row["closed"] and row["mean"] is not None]
    number = sum(row["closed"] for row in timed)
    seconds = sum(row["mean"].total_seconds() * row["closed"] for row in timed)
    return RoundFigures(
        **{name: sum(row[name] for row in rows) for name in ("open", "opened", "held", "lapsed", "failing")},
        closed={row["outcome"]: row["closed"] for row in rows if row["closed"]},
        mean=seconds / number if number else 0.0,
        longest=max((row["longest"].total_seconds() for row in timed), default=0.0),
    )


def _awaited() -> int:
    taking_part: QuerySet[Any, Any] = Training.participants.through.objects.all()
    open_rounds = Round.objects.filter(
        training=OuterRef("training"), opened_at__isnull=False, closed_at=None, training__state__in=RUNNING_STATES
    )
    submitted = Submission.objects.filter(
        round__training=OuterRef("training"),
        round__opened_at__isnull=False,
        round__closed_at=None,
        participant=OuterRef("user"),
    )
    return taking_part.filter(Exists(open_rounds), ~Exists(submitted)).count()


def _deliveries(now: datetime) -> DeliveryFigures:
    pending = Delivery.objects.filter(status=DeliveryStatus.PENDING)
    is_fetched = Q(receiver__message_endpoint="")
    is_due = ~is_fetched & Q(next_attempt_at__lte=now)
    waiting = pending.aggregate(
        due=Count("pk", filter=is_due),
        later=Count("pk", filter=~is_fetched & (Q(next_attempt_at__gt=now) | Q(next_attempt_at=None))),
        fetched=Count("pk", filter=is_fetched),
        failing=Count("pk", filter=~Q(last_error="")),
        oldest=Min("next_attempt_at", filter=is_due),
    )
    # Not grouped: SQLite would go through all rows by the index of the status.
    by_status = {status.value: Count("pk", filter=Q(status=status)) for status in DeliveryStatus}
    settled = Delivery.objects.filter(settled_at__gt=now - HOUR).aggregate(**by_status)
    del settled[DeliveryStatus.PENDING]
    return DeliveryFigures(**waiting, settled=settled)
