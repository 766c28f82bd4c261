"""A delivery's way out: claimed, posted outside any transaction, settled by what came of it."""

from __future__ import annotations

import ipaddress
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from fl_server_ai.notification import breaker
from fl_server_ai.notification.addresses import AddressPolicy
from fl_server_ai.notification.client import Accepted, NoAnswer, Outcome, Rejected, post
from fl_server_ai.notification.lanes import lanes
from fl_server_ai.notification.notifications import Notification
from fl_server_core.log_context import bound_ids
from fl_server_core.models.delivery import Delivery
from fl_server_core.selectors.deliveries import sendable
from fl_server_core.selectors.notification_secrets import notification_secrets_of
from fl_server_core.services.delivery_attempts import (
    accept_delivery,
    claim_delivery,
    leave_unanswered,
    postpone_delivery,
    reject_delivery,
)
from fl_server_core.tracing import span
from fl_server_core.validators import notification_ports


def send_delivery(delivery_id: int) -> float | None:
    """Make one attempt at a delivery, if it is due and nobody else makes it.

    An attempt at a host of which no answer is known takes one of the places for such hosts; if there is none, or the
    host has been silent too often, the delivery waits outside this thread, and that is no attempt.

    Returns: in how many seconds to try again; None if not at all.
    """
    due = sendable().select_related("receiver", "training").filter(pk=delivery_id).first()
    if due is None:
        return None
    with bound_ids(training_id=due.training_uuid, round=due.body.get("round"), delivery_id=due.uuid):
        return _send(due)


def _send(due: Delivery) -> float | None:
    host = breaker.host_of(due.receiver.message_endpoint)
    if breaker.has_answered(host):
        return _attempt(due, host)
    with lanes().place(due.training.actor_id if due.training else None) as held:
        pause = breaker.seconds_to_wait(host) if held else settings.FL_NOTIFICATION_TIMEOUT_SECONDS / 2
        if pause is None:
            return _attempt(due, host)
    if held and _should_be_over(due):
        return _go_without(due, host)
    return postpone_delivery(delivery_id=due.pk, seconds=pause)


def _attempt(due: Delivery, host: str) -> float | None:
    delivery = claim_delivery(delivery_id=due.pk)
    if delivery is None:
        return None
    outcome = _post(delivery)
    breaker.note_outcome(host, outcome)
    return _settle(delivery, outcome)


def _should_be_over(due: Delivery) -> bool:
    """Would the delivery have been given up by now, had each attempt been made in its time?"""
    pauses = settings.FL_NOTIFICATION_RETRY_SECONDS
    patience = sum(pauses) + (len(pauses) + 1) * settings.FL_NOTIFICATION_TIMEOUT_SECONDS
    return timezone.now() - due.created_at > timedelta(seconds=patience)


def _go_without(due: Delivery, host: str) -> float | None:
    """Count an attempt that nobody makes: a round must not wait for ever because many wait for the same host."""
    delivery = claim_delivery(delivery_id=due.pk)
    if delivery is None:
        return None
    return leave_unanswered(delivery=delivery, error=f"{host} has not answered many times in a row.")


def _post(delivery: Delivery) -> Outcome:
    with span("send", delivery_id=delivery.uuid, notification=delivery.notification_type, attempt=delivery.attempts):
        return _post_signed(delivery)


def _post_signed(delivery: Delivery) -> Outcome:
    notification = Notification(delivery.notification_type, delivery.training_uuid, delivery.body)
    return post(
        delivery.receiver.message_endpoint,
        notification.payload(),
        delivery_id=delivery.uuid,
        secrets=notification_secrets_of(delivery.receiver),
        seconds=settings.FL_NOTIFICATION_TIMEOUT_SECONDS,
        policy=address_policy(),
    )


def _settle(delivery: Delivery, outcome: Outcome) -> float | None:
    match outcome:
        case Accepted():
            accept_delivery(delivery=delivery)
        case Rejected(status):
            reject_delivery(delivery=delivery, reason=f"Status {status}.")
        case NoAnswer(error, is_permanent):
            return leave_unanswered(delivery=delivery, error=error, is_permanent=is_permanent)
    return None


def address_policy() -> AddressPolicy | None:
    """Where notifications may go: anywhere but in production, where users must not reach into the operator's network.

    Raises:
        ValueError: an entry of FL_NOTIFICATION_ALLOWED_NETWORKS is not a network.
    """
    if not settings.FL_PRODUCTION:
        return None
    networks = tuple(ipaddress.ip_network(name) for name in settings.FL_NOTIFICATION_ALLOWED_NETWORKS)
    return AddressPolicy(networks, notification_ports())
