"""Why is nothing happening? A training as an operator looks at it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fl_server_core.models.delivery import Delivery, DeliveryStatus
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training, TrainingState
from fl_server_core.models.training_event import EventKind, TrainingEvent
from fl_server_core.selectors import rounds


def training_status(training: Training) -> dict[str, Any]:
    """Phase, round, since when, deadline, and for each participant what it was told and what it answered.

    A constant number of statements, whatever the number of participants.
    """
    current = rounds.current_round(training)
    told = _newest_deliveries(training, current)
    blocking = _blocking_deliveries(training)
    answers = {answer.participant_id: answer for answer in training.answers.filter(phase=training.phase, round=current)}
    people = training.participants.order_by("id").values_list("id", "username")
    has_failed = training.state == TrainingState.ERROR and training.phase != Phase.IDLE  # and was not stopped
    failure = training.events.filter(kind=EventKind.FAILED).last() if has_failed else None
    return {
        "training": training.id,
        "state": training.state,
        "phase": training.phase,
        "round": current,
        "rounds_closed": rounds.rounds_closed(training, current),
        "target_num_updates": training.target_num_updates,
        "since": training.phase_since,
        "deadline": training.deadline,
        "locked": training.locked,
        "lease_until": training.lease_until,
        "attempts": training.claim_attempts,
        "problem": training.problem or None,
        "problem_since": training.problem_since,
        "failure": failure.message if failure else None,
        "participants": [
            {
                "id": person,
                "username": name,
                "awaited": training.is_running and not training.locked and person not in answers,
                "answered_at": answers[person].answered_at if person in answers else None,
                "notification": _about(told.get(person)),
                "waits_behind": _about(_before(blocking.get(person), told.get(person))),
            }
            for person, name in people
        ],
    }


def training_history(training: Training) -> list[TrainingEvent]:
    """What happened to the training, oldest first."""
    return list(training.events.select_related("user"))


def _newest_deliveries(training: Training, round: int) -> dict[UUID, Delivery]:
    """Each receiver's newest notification of the open round's phase."""
    sent = Delivery.objects.filter(training=training, phase=training.phase, round=round).order_by("id")
    return {delivery.receiver_id: delivery for delivery in sent}


def _blocking_deliveries(training: Training) -> dict[UUID, Delivery]:
    """Each receiver's oldest notification that is still to be delivered: those after it wait for it."""
    pending = Delivery.objects.filter(training=training, status=DeliveryStatus.PENDING).order_by("-id")
    return {delivery.receiver_id: delivery for delivery in pending}


def _before(blocking: Delivery | None, newest: Delivery | None) -> Delivery | None:
    return blocking if blocking and newest and blocking.pk < newest.pk else None


def _about(delivery: Delivery | None) -> dict[str, Any] | None:
    if delivery is None:
        return None
    return {
        "id": delivery.uuid,
        "notification_type": delivery.notification_type,
        "status": delivery.status,
        "created_at": delivery.created_at,
        "attempts": delivery.attempts,
        "last_attempt_at": delivery.last_attempt_at,
        "next_attempt_at": delivery.next_attempt_at if delivery.status == DeliveryStatus.PENDING else None,
        "settled_at": delivery.settled_at,
        "last_error": delivery.last_error,
    }
