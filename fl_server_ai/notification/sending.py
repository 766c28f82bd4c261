"""A delivery's way out: claimed, posted outside any transaction, settled by what came of it."""

from __future__ import annotations

import ipaddress

from django.conf import settings

from fl_server_ai.notification.client import Accepted, NoAnswer, Outcome, Rejected, post
from fl_server_ai.notification.network import AddressPolicy
from fl_server_ai.notification.notifications import Notification
from fl_server_core.models.delivery import Delivery
from fl_server_core.services.delivery_attempts import (
    accept_delivery,
    claim_delivery,
    leave_unanswered,
    reject_delivery,
)


def send_delivery(delivery_id: int) -> float | None:
    """Make one attempt at a delivery, if it is due and nobody else makes it.

    Returns: in how many seconds to try again; None if not at all.
    """
    delivery = claim_delivery(delivery_id=delivery_id)
    if delivery is None:
        return None
    return _settle(delivery, _post(delivery))


def _post(delivery: Delivery) -> Outcome:
    notification = Notification(delivery.notification_type, delivery.training_uuid, delivery.body)
    return post(
        delivery.receiver.message_endpoint,
        notification.payload(),
        delivery_id=delivery.uuid,
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
    return AddressPolicy(tuple(ipaddress.ip_network(name) for name in settings.FL_NOTIFICATION_ALLOWED_NETWORKS))
