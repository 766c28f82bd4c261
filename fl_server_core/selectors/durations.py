"""How long rounds took, and what for: until everyone was told, waiting for participants, and computing."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db.models import Min

from fl_server_core.models.delivery import DeliveryStatus
from fl_server_core.models.round import Round, RoundOutcome
from fl_server_core.models.training import Training

NOTIFYING = "notifying_seconds"
COMPUTING = "computing_seconds"
"""Figures of a closed round. The rest of its time it waited."""


class Duration(NamedTuple):
    """A closed round. seconds: all of it. notifying, computing: None if it was closed before these were kept."""

    phase: str
    number: int
    seconds: float
    notifying: float | None
    computing: float | None

    @property
    def waiting(self) -> float | None:
        if self.notifying is None or self.computing is None:
            return None
        return self.seconds - self.notifying - self.computing


def notifying_seconds(row: Round) -> float:
    """How long after the start of a round the last of those who could be told was told. Reminders don't count."""
    told = row.deliveries.filter(status=DeliveryStatus.ACCEPTED, settled_at__isnull=False)
    first: list[datetime] = list(
        told.order_by().values("receiver").annotate(first=Min("settled_at")).values_list("first", flat=True)
    )
    if not first or row.opened_at is None:
        return 0.0
    return round(max(0.0, (max(first) - row.opened_at).total_seconds()), 3)


def round_durations(training: Training) -> list[Duration]:
    """The closed rounds, in the order of their numbers, in one statement."""
    rows = training.rounds.filter(outcome=RoundOutcome.CLOSED, opened_at__isnull=False, closed_at__isnull=False)
    found = rows.order_by("number", "id").values_list(
        "phase", "number", "opened_at", "closed_at", f"figures__{NOTIFYING}", f"figures__{COMPUTING}"
    )
    return [
        _duration(phase, number, max(0.0, (closed - opened).total_seconds()), notifying, computing)
        for phase, number, opened, closed, notifying, computing in found
    ]


def _duration(phase: str, number: int, seconds: float, notifying: float | None, computing: float | None) -> Duration:
    """Some are told only while a worker computes: this time is computing."""
    if notifying is None or computing is None:
        return Duration(phase, number, seconds, None, None)
    computing = min(computing, seconds)
    return Duration(phase, number, seconds, min(notifying, seconds - computing), computing)
