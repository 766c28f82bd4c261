"""What a user has to do with: its trainings and its notifications. A constant number of statements for each page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When

from fl_server_core.models.delivery import Delivery, DeliveryStatus
from fl_server_core.models.round import Round
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import RUNNING_STATES, Training, TrainingState
from fl_server_core.models.user import User
from fl_server_core.policies import trainings_of
from fl_server_core.selectors.training_invitations import invitations_of_user


@dataclass(frozen=True)
class OwnFigures:
    """awaiting: the open rounds that wait for the user. pending: what it has not been told, or not acknowledged.

    What nobody waits for isn't pending: an actor without an endpoint need not fetch how its trainings ended.
    """

    running: int
    failed: int
    awaiting: int
    invitations: int
    pending: int


def own_trainings(user: User) -> QuerySet[Training]:
    """The trainings in which the user is actor or participant: the running ones first, then the latest.

    Each with `name`, `closed` (its rounds so far), `takes_part` and `is_awaited`.
    """
    rank = Case(When(state__in=RUNNING_STATES, then=Value(0)), default=Value(1))
    return (
        trainings_of(user)
        .annotate(
            name=F("model__globalmodel__name"),
            closed=F("model__round") - F("first_round"),
            takes_part=Exists(_taking_part(user).filter(training=OuterRef("pk"))),
            is_awaited=Exists(_rounds_awaiting(user).filter(training=OuterRef("pk"))),
        )
        .order_by(rank, "-last_update", "id")
    )


def own_figures(user: User) -> OwnFigures:
    """What a user's first page counts. Four statements."""
    found = trainings_of(user).aggregate(
        running=Count("pk", filter=Q(state__in=RUNNING_STATES)),
        failed=Count("pk", filter=Q(state=TrainingState.ERROR)),
    )
    awaiting = _rounds_awaiting(user).count()
    invitations = invitations_of_user(user).count()
    return OwnFigures(**found, awaiting=awaiting, invitations=invitations, pending=_pending(user).count())


def own_notifications(user: User) -> QuerySet[Delivery]:
    """What the user was or is to be told, the latest first.

    Each with `name`, that of its training's model, if the user still has to do with it.
    """
    name = When(training__in=trainings_of(user).order_by().values("pk"), then=F("training__model__globalmodel__name"))
    return Delivery.objects.filter(receiver=user).annotate(name=Case(name, default=Value(None))).order_by("-pk")


def _pending(user: User) -> QuerySet[Delivery]:
    found = Delivery.objects.filter(receiver=user, status=DeliveryStatus.PENDING)
    if user.message_endpoint:
        return found
    return found.exclude(training__in=Training.objects.filter(actor=user).exclude(participants=user))


def _taking_part(user: User) -> QuerySet[Any, Any]:
    return Training.participants.through.objects.filter(user=user)


def _rounds_awaiting(user: User) -> QuerySet[Round]:
    """The open rounds of running trainings in which the user takes part and has not submitted."""
    submitted = Submission.objects.filter(round=OuterRef("pk"), participant=user)
    return Round.objects.filter(
        ~Exists(submitted),
        opened_at__isnull=False,
        closed_at=None,
        claim=None,
        training__state__in=RUNNING_STATES,
        training__in=_taking_part(user).values("training"),
    )
