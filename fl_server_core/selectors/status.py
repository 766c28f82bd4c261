"""Why is nothing happening? A training as an operator looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from django.db.models import F, FilteredRelation, Q, QuerySet

from fl_server_core.models.delivery import Delivery, DeliveryStatus, NotificationType
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.round import Round
from fl_server_core.models.training import Training, TrainingState
from fl_server_core.models.user import User
from fl_server_core.registry import round_kinds
from fl_server_core.selectors import rounds
from fl_server_core.selectors.figures import REPLAY_OF, RoundFigures, latest_figures
from fl_server_core.selectors.readers import TrainingReader
from fl_server_core.selectors.training_invitations import open_invitations

IDLE = "idle"

MaySee = Callable[[UUID], bool]
"""Does the reader see ids, endpoints and errors of what this receiver is sent?"""


def training_status(
    training: Training, reader: TrainingReader | None = None, current: int | None = None
) -> dict[str, Any]:
    """Phase, round, since when, deadline, and for each participant what it was told and what it submitted.

    reader: who is to read it; None: the server, which sees everything. current: the model's round, if it has just been
    read. A constant number of statements, whatever the number of participants.
    """
    may_see = _who_sees_details(reader)
    if current is None:
        current = rounds.current_round(training)
    row = rounds.open_round_of(training)
    return {
        "training": training.id,
        "state": training.state,
        "phase": row.phase if row else IDLE,
        "round": current,
        "rounds_closed": rounds.rounds_closed(training, current),
        "target_num_updates": training.target_num_updates,
        "since": row.opened_at if row else None,
        "deadline": row.deadline if row else None,
        "locked": training.locked,
        "lease_until": row.lease_until if row else None,
        "attempts": row.attempts if row else 0,
        "problem": _problem_of(training, row),
        "problem_since": row.problem_since if row else None,
        "failure": _failure_of(training, row),
        "participants": _participants(training, row, reader),
        "invited": _invited(training, may_see),
    }


def _who_sees_details(reader: TrainingReader | None) -> MaySee:
    return reader.sees_deliveries_to if reader else lambda _receiver: True


def _problem_of(training: Training, row: Round | None) -> str | None:
    """Why the last attempt to close the open round failed, or why nobody can submit to it."""
    if row is None:
        return None
    if training.is_running and row.kind not in round_kinds:
        return f"No installed package defines rounds of kind {row.kind!r}. Install it again."
    return row.problem or None


def _failure_of(training: Training, row: Round | None) -> str | None:
    """Why a failed training has failed; one that was stopped has no open round."""
    if training.state != TrainingState.ERROR or row is None:
        return None
    failure = training.events.filter(kind=EventKind.FAILED).last()
    return failure.message if failure else None


def _participants(training: Training, row: Round | None, reader: TrainingReader | None) -> list[dict[str, Any]]:
    told = _newest_deliveries(row)
    is_pending = any(delivery.status == DeliveryStatus.PENDING for delivery in told.values())
    blocking = _blocking_deliveries(training) if is_pending else {}
    # One row for each participant: it has one submission to the open round at most.
    submitted = FilteredRelation("submissions", condition=Q(submissions__round=row.pk if row else None))
    people: QuerySet[Any, Any] = (
        training.participants.order_by("id")
        .only("id", "username", "message_endpoint")
        .annotate(submitted=submitted, answered_at=F("submitted__submitted_at"), flags=F("submitted__figures"))
    )
    latest = latest_figures(training)
    may_see = _who_sees_details(reader)
    is_waiting = training.is_running and not training.locked
    return [
        {
            "id": person.pk,
            "username": person.username,
            "awaited": is_waiting and person.answered_at is None,
            "answered_at": person.answered_at,
            "message_endpoint": _endpoint_of(person, may_see),
            "notification": _about(told.get(person.pk), may_see),
            "waits_behind": _about(_before(blocking.get(person.pk), told.get(person.pk)), may_see),
            **_figures(person.pk, person.flags, latest, reader),
        }
        for person in people
    ]


def _figures(
    person: UUID, flags: Mapping[str, Any] | None, latest: RoundFigures | None, reader: TrainingReader | None
) -> dict[str, Any]:
    """How a participant's last aggregated update was, and whether what it sent now was sent before.

    flags: the figures of its present submission.
    """
    is_seen = reader is None or reader.sees_figures_of(person)
    last = latest.figures.get(str(person)) if latest and is_seen else None
    return {
        "replay_of": flags.get(REPLAY_OF) if flags and is_seen else None,
        "last_update": {"round": latest.number, **last} if latest and last else None,
    }


def _invited(training: Training, may_see: MaySee) -> list[dict[str, Any]]:
    """Who has not answered yet, and whether the invitation has arrived."""
    invitations = list(open_invitations(training).select_related("user"))
    if not invitations:
        return []
    sent = Delivery.objects.filter(training=training, notification_type=NotificationType.TRAINING_INVITATION)
    told = {delivery.receiver_id: delivery for delivery in sent.order_by("id")}
    return [
        {
            "id": invitation.user_id,
            "username": invitation.user.username,
            "invited_at": invitation.created_at,
            "message_endpoint": _endpoint_of(invitation.user, may_see),
            "notification": _about(told.get(invitation.user_id), may_see),
        }
        for invitation in invitations
    ]


def training_history(training: Training) -> QuerySet[Event]:
    """What happened to the training, oldest first."""
    return training.events.select_related("user", "author")


def _newest_deliveries(row: Round | None) -> dict[UUID, Delivery]:
    """Each receiver's newest announcement of the open round."""
    return {delivery.receiver_id: delivery for delivery in row.deliveries.order_by("id")} if row else {}


def _blocking_deliveries(training: Training) -> dict[UUID, Delivery]:
    """Each receiver's oldest notification that is still to be delivered: those after it wait for it."""
    pending = Delivery.objects.filter(training=training, status=DeliveryStatus.PENDING).order_by("-id")
    return {delivery.receiver_id: delivery for delivery in pending}


def _before(blocking: Delivery | None, newest: Delivery | None) -> Delivery | None:
    return blocking if blocking and newest and blocking.pk < newest.pk else None


def _endpoint_of(receiver: User, may_see: MaySee) -> str | None:
    """Without the query and what stands before the host, which may hold a secret of the receiver."""
    if not may_see(receiver.pk):
        return None
    try:
        parts = urlsplit(receiver.message_endpoint)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _about(delivery: Delivery | None, may_see: MaySee) -> dict[str, Any] | None:
    if delivery is None:
        return None
    is_shown = may_see(delivery.receiver_id)
    return {
        "id": delivery.uuid if is_shown else None,
        "notification_type": delivery.notification_type,
        "body": delivery.body if is_shown else None,
        "status": delivery.status,
        "created_at": delivery.created_at,
        "attempts": delivery.attempts,
        "last_attempt_at": delivery.last_attempt_at,
        "next_attempt_at": delivery.next_attempt_at if delivery.status == DeliveryStatus.PENDING else None,
        "settled_at": delivery.settled_at,
        "last_error": delivery.last_error if is_shown else None,
    }
