from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from fl_server_core.models.delivery import Delivery, DeliveryStatus
from fl_server_core.models.user import User

# The clocks of two machines differ: what one of them has written as due now must not be too early for the other.
CLOCK_SKEW = timedelta(seconds=1)


def sendable(now: datetime | None = None) -> QuerySet[Delivery]:
    """Deliveries that may go out now: due, to somebody who has an endpoint, and none before them waits.

    Every condition on the row itself is on the row itself, not in a subquery: of two concurrent UPDATEs of this
    queryset, PostgreSQL lets the second one look at the row again, and at nothing else.
    """
    earlier = Delivery.objects.filter(
        receiver=OuterRef("receiver"),
        training_uuid=OuterRef("training_uuid"),
        status=DeliveryStatus.PENDING,
        pk__lt=OuterRef("pk"),
    )
    reachable = User.objects.filter(pk=OuterRef("receiver")).exclude(message_endpoint="")
    return Delivery.objects.filter(
        ~Exists(earlier),
        Exists(reachable),
        status=DeliveryStatus.PENDING,
        next_attempt_at__lte=(now or timezone.now()) + CLOCK_SKEW,
    )


def next_in_line(delivery: Delivery) -> Delivery | None:
    """The oldest delivery of the same receiver and training that waits."""
    line = Delivery.objects.filter(receiver_id=delivery.receiver_id, training_uuid=delivery.training_uuid)
    return line.filter(status=DeliveryStatus.PENDING).order_by("pk").first()


def waited_behind_a_failure(delivery: Delivery) -> bool:
    """Was an earlier one of the same receiver and training given up while this one waited for it?"""
    return Delivery.objects.filter(
        receiver_id=delivery.receiver_id,
        training_uuid=delivery.training_uuid,
        status=DeliveryStatus.FAILED,
        pk__lt=delivery.pk,
        settled_at__gte=delivery.created_at,
    ).exists()


def pending_notifications(user: User) -> QuerySet[Delivery]:
    """What the user has not yet been told, or has not acknowledged: oldest first."""
    return Delivery.objects.filter(receiver=user, status=DeliveryStatus.PENDING).order_by("pk")
