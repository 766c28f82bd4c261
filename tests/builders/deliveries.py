"""What people are told."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from fl_server_core.models import Delivery, User
from tests.builders.rows import make_round


def sent_to(user: User) -> list[str]:
    """The types of a user's notifications, oldest first."""
    return [kind for kind, _round in rounds_told_to(user)]


def rounds_told_to(user: User) -> list[tuple[str, int | None]]:
    """Type and round of a user's notifications, oldest first."""
    return list(Delivery.objects.filter(receiver=user).order_by("id").values_list("notification_type", "round__number"))


def make_about(delivery: Delivery, *, round: int | None = None, kind: str | None = None) -> None:
    """Make a delivery one of another round, by number or by kind."""
    assert delivery.training is not None
    assert delivery.round is not None
    number = delivery.round.number if round is None else round
    delivery.round = make_round(delivery.training, kind or delivery.round.kind, number)
    delivery.save(update_fields=["round"])


def make_due(delivery: Delivery) -> None:
    """Let the time pass until the next attempt."""
    Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now())


def pause_of(delivery: Delivery) -> timedelta:
    """How long after its last attempt the delivery is to be tried again."""
    delivery.refresh_from_db()
    assert delivery.next_attempt_at is not None
    assert delivery.last_attempt_at is not None
    return delivery.next_attempt_at - delivery.last_attempt_at
