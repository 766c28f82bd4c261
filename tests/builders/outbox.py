"""What is in the outbox."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from fl_server_core.models import Delivery, Phase, Training, User


def sent_to(user: User) -> list[str]:
    """The types of a user's notifications, oldest first."""
    return [kind for kind, _round in rounds_told_to(user)]


def rounds_told_to(user: User) -> list[tuple[str, int | None]]:
    """Type and round of a user's notifications, oldest first."""
    return list(Delivery.objects.filter(receiver=user).order_by("id").values_list("notification_type", "round"))


def deliveries_of_round(training: Training, round: int) -> QuerySet[Delivery]:
    """What announces this round."""
    return Delivery.objects.filter(training=training, round=round)


def make_about(delivery: Delivery, *, round: int | None = None, kind: str | None = None) -> None:
    """Make a delivery one of another round, by number or by kind."""
    columns = {"round": round, "phase": None if kind is None else Phase(kind)}
    Delivery.objects.filter(pk=delivery.pk).update(
        **{name: value for name, value in columns.items() if value is not None}
    )


def make_due(delivery: Delivery) -> None:
    """Let the time pass until the next attempt."""
    Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now())


def pause_of(delivery: Delivery) -> timedelta:
    """How long after its last attempt the delivery is to be tried again."""
    delivery.refresh_from_db()
    assert delivery.next_attempt_at is not None
    assert delivery.last_attempt_at is not None
    return delivery.next_attempt_at - delivery.last_attempt_at
