"""A training as those see it who watch it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery

from fl_server_core import policies
from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models.delivery import Delivery
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.metric import Metric
from fl_server_core.models.round import Round
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.readers import TrainingReader
from fl_server_core.selectors.status import training_status

MAX_EVENTS = 30
MAX_GONE = 200
WENT = (EventKind.PARTICIPANT_REMOVED, EventKind.PARTICIPANT_LEFT, EventKind.PARTICIPANT_REJECTED)


@dataclass(frozen=True)
class Live:
    """status: as the reader may see it. events: the latest; gone: how people went; newest first.

    mark: changes when anything of this does.
    """

    training: Training
    name: str
    status: dict[str, Any]
    events: Sequence[Event]
    gone: Sequence[Event]
    reader: TrainingReader
    mark: str


def watched_training(training_id: UUID, user: User) -> tuple[Training, str]:
    """A training that the user may read, and its mark, in one statement.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user may not read it.
    """
    training = _marked().filter(pk=training_id).first()
    if training is None:
        raise EntityNotFound("Training", training_id)
    if not policies.may_read_training(user, training):
        raise NotAllowed
    return training, ".".join(_plain(getattr(training, name)) for name in _MARK)


def mark_now(training_id: UUID, user: User) -> str:
    """The mark of a training that the user may read, for less than `watched_training` costs.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user may not read it.
    """
    sql, params = _mark_statement()
    key = Training._meta.pk.get_db_prep_value(training_id, connection)
    with connection.cursor() as cursor:
        cursor.execute(sql, [key if param == _PLACE else param for param in params])
        row = cursor.fetchone()
    if row is None:
        raise EntityNotFound("Training", training_id)
    actor, *facts = row
    if not policies.may_read_training(user, Training(pk=training_id, actor_id=UUID(str(actor)))):
        raise NotAllowed
    return ".".join(_plain(_read(name, fact)) for name, fact in zip(_MARK, facts, strict=True))


def live_training(training: Training, mark: str, user: User) -> Live:
    """Everything that the page shows the user but the curves, in a constant number of statements."""
    reader = TrainingReader(training, user)
    rows = training.events.order_by("-id")
    is_late = Q(pk__in=rows.values("pk")[:MAX_EVENTS])
    shown = list(rows.filter(is_late | Q(kind__in=WENT)).select_related("user", "author")[: MAX_EVENTS + MAX_GONE])
    gone = [event for event in shown if event.kind in WENT]
    status = training_status(training, reader, getattr(training, "current", None))
    return Live(training, getattr(training, "name", "") or "", status, shown[:MAX_EVENTS], gone, reader, mark)


def curves_mark(training: Training) -> str:
    """Changes when the curves do. Of a training that `watched_training` has found."""
    return ".".join(_plain(getattr(training, name)) for name in ("last_metric", "last_submission", "last_event"))


_FACTS = ("last_event", "tried", "settled", "last_submission", "last_metric")
_MARK = ("state", "locked", "last_update", *_FACTS)
_TIMES = ("last_update", "tried", "settled", "last_submission")
_PLACE = "the training"


@cache
def _mark_statement() -> tuple[str, tuple[Any, ...]]:
    """What a mark is made of, behind the actor: a statement with `_PLACE` where the training's id belongs.

    Kept as text: a tab that is left open asks every few seconds, and Django takes longer for putting the statement
    together than the database for answering.
    """
    anything = UUID(int=0)
    rows = _marked().select_related(None).filter(pk=anything).order_by().values_list("actor_id", *_MARK)
    sql, params = rows.query.sql_with_params()
    placed = Training._meta.pk.get_db_prep_value(anything, connection)
    return sql, tuple(_PLACE if param == placed else param for param in params)


def _read(name: str, fact: Any) -> Any:
    """A fact as Django would read it: SQLite has text, or no zone, for times, and numbers for truth."""
    if name == "locked":
        return bool(fact)
    if name in _TIMES and isinstance(fact, str):
        fact = datetime.fromisoformat(fact)
    return fact.replace(tzinfo=fact.tzinfo or UTC) if isinstance(fact, datetime) else fact


@cache
def _marked() -> QuerySet[Training]:
    """Trainings with what changes when its page does; an event, or `last_update`, tells of everything else.

    None of it looks at more rows than one round has. Made once: putting it together costs more than asking.
    """
    open_rounds = Round.objects.filter(training=OuterRef(OuterRef("pk")), opened_at__isnull=False, closed_at=None)
    deliveries = Delivery.objects.filter(round__in=open_rounds.values("pk"))
    submissions = Submission.objects.filter(round__in=open_rounds.values("pk"))
    metrics = Metric.objects.filter(model=OuterRef("model"))
    return Training.objects.select_related("actor").annotate(
        name=F("model__globalmodel__name"),
        current=F("model__round"),
        last_event=_one(Event.objects.filter(training=OuterRef("pk")), "training", Max("pk")),
        tried=_one(deliveries, "round", Max("last_attempt_at")),
        settled=_one(deliveries, "round", Max("settled_at")),
        last_submission=_one(submissions, "round", Max("submitted_at")),
        last_metric=Subquery(metrics.order_by("-pk").values("pk")[:1]),
    )


def _one(rows: QuerySet[Any], by: str, figure: Max) -> Subquery:
    """One figure of the rows, which all have the same `by`."""
    return Subquery(rows.order_by().values(by).annotate(figure=figure).values("figure"))


def _plain(fact: object) -> str:
    return fact.isoformat() if isinstance(fact, datetime) else str(fact)
