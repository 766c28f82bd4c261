"""Why is nothing happening? A training as an operator looks at it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fl_server_core.models.answer import Answer
from fl_server_core.models.delivery import Delivery
from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind, TrainingEvent
from fl_server_core.selectors import rounds


def training_status(training: Training) -> dict[str, Any]:
    """Phase, round, since when, deadline, and for each participant what it was told and what it answered.

    A constant number of statements, whatever the number of participants.
    """
    current = rounds.current_round(training)
    told = _newest_deliveries(training)
    answers = {answer.participant_id: answer for answer in training.answers.filter(phase=training.phase, round=current)}
    people = training.participants.order_by("id").values_list("id", "username")
    failure = training.events.filter(kind=EventKind.FAILED).last() if training.state == "E" else None
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
        "failure": failure.message if failure else None,
        "participants": [
            _participant_status(training, person, name, told.get(person), answers.get(person))
            for person, name in people
        ],
    }


def training_history(training: Training) -> list[TrainingEvent]:
    """What happened to the training, oldest first."""
    return list(training.events.select_related("user"))


def _newest_deliveries(training: Training) -> dict[UUID, Delivery]:
    """Each receiver's newest notification of the open phase."""
    sent = Delivery.objects.filter(training=training, phase=training.phase).order_by("id")
    if training.phase_since is not None:
        sent = sent.filter(created_at__gte=training.phase_since)
    return {delivery.receiver_id: delivery for delivery in sent}


def _participant_status(
    training: Training, person: UUID, name: str, delivery: Delivery | None, answer: Answer | None
) -> dict[str, Any]:
    return {
        "id": person,
        "username": name,
        "awaited": training.is_running and not training.locked and answer is None,
        "answered_at": answer.answered_at if answer else None,
        "notification": None
        if delivery is None
        else {
            "id": delivery.uuid,
            "notification_type": delivery.notification_type,
            "status": delivery.status,
            "created_at": delivery.created_at,
            "attempts": delivery.attempts,
            "last_attempt_at": delivery.last_attempt_at,
            "next_attempt_at": delivery.next_attempt_at if delivery.status == "pending" else None,
            "settled_at": delivery.settled_at,
            "last_error": delivery.last_error,
        },
    }
