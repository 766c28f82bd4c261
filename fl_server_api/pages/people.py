"""The people of a training in words: who does what in the open round, and who takes no part any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from fl_server_core.models import Event, EventKind
from fl_server_core.selectors.live import Live

NO_TIME = timedelta()
LEAST_LATE = timedelta(seconds=10)
"""Nobody is late before: a round may take so little that the network decides who is first."""
TOLD = {
    "": "–",
    "pending": "on its way",
    "accepted": "yes",
    "rejected": "refused by the participant",
    "failed": "gave up",
    "superseded": "no longer needed",
}
"""Was a participant told? By the status of the notification."""
HOW = {
    EventKind.PARTICIPANT_REMOVED: "removed",
    EventKind.PARTICIPANT_LEFT: "left",
    EventKind.PARTICIPANT_REJECTED: "refused a notification",
}


@dataclass(frozen=True)
class Person:
    """A participant in the open round. next_try: of its notification."""

    id: Any
    name: str
    word: str
    tone: str
    told: str
    error: str
    submitted_at: datetime | None
    next_try: datetime | None


def people(live: Live) -> list[Person]:
    """The participants: those first who hold the round up, and of these the ones that the server can't reach."""
    late_since = _late_since(live.status)
    rows = [_person(one, late_since) for one in live.status["participants"]]
    order = {"out of reach": 0, "late": 1, "awaited": 2}
    return sorted(rows, key=lambda row: (order.get(row.word, 3), row.name))


def seconds_until_late(live: Live) -> float | None:
    """In how many seconds those who are awaited will be called late, if nothing happens; None: not to be foreseen."""
    late_since = _late_since(live.status)
    if late_since is None or not any(one["awaited"] for one in live.status["participants"]):
        return None
    seconds = (late_since - timezone.now()).total_seconds()
    return seconds if seconds > 0 else None


def _late_since(status: Mapping[str, Any]) -> datetime | None:
    """From when on those who are still awaited are late; None: nobody can tell.

    At the deadline, or once the round is open for twice as long as half of the participants needed.
    """
    opened, deadline = status["since"], status["deadline"]
    if opened is None:
        return None
    took = sorted(max(one["answered_at"] - opened, NO_TIME) for one in status["participants"] if one["answered_at"])
    half = (len(status["participants"]) + 1) // 2
    known = [opened + max(2 * took[half - 1], LEAST_LATE)] if half and len(took) >= half else []
    return min([*known, *([deadline] if deadline else [])], default=None)


def _person(row: Mapping[str, Any], late_since: datetime | None) -> Person:
    told = row["waits_behind"] or row["notification"]
    status = told["status"] if told else ""
    error = (told["last_error"] or "") if told and status != "accepted" else ""  # None: for other readers
    word, tone = _part(row, status, error, late_since)
    next_try = told["next_attempt_at"] if told else None
    return Person(row["id"], row["username"], word, tone, TOLD.get(status, ""), error, row["answered_at"], next_try)


def _part(row: Mapping[str, Any], status: str, error: str, late_since: datetime | None) -> tuple[str, str]:
    if row["answered_at"] is not None:
        return "submitted", "good"
    if not row["awaited"]:
        return "not awaited", ""
    if status == "failed" or error:
        return "out of reach", "bad"
    if late_since is not None and timezone.now() > late_since:
        return "late", "bad"
    return "awaited", "busy"


@dataclass(frozen=True)
class Gone:
    """Somebody who took part once. how: why not any more."""

    name: str
    how: str
    at: datetime


def gone(live: Live) -> list[Gone]:
    """Who was removed, left or refused, and takes no part now; the latest first."""
    present = {row["id"] for row in live.status["participants"]}
    found: dict[Any, Gone] = {}
    for event in live.gone:
        if event.user is not None and event.user_id not in present:
            found.setdefault(event.user_id, Gone(event.user.username, _how(event), event.at))
    return list(found.values())


def _how(event: Event) -> str:
    how = HOW[EventKind(event.kind)]
    if event.author is not None and event.author_id != event.user_id:
        how += f" by {event.author.username}"
    return f"{how}: {event.message}" if event.message else how
