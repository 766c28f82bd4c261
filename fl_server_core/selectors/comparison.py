"""Trainings side by side: a constant number of statements, however many they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count, F, Max, Min, OuterRef, Q, QuerySet, Subquery

from fl_server_core import policies
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.metric import Metric
from fl_server_core.models.model import LocalModel
from fl_server_core.models.round import Round
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.curves import TESTS, UPDATES
from fl_server_core.selectors.sums import FIGURES, last_values, reported_numbers

MAX_OFFERED = 30
FILES_MOVED = {"update": 2, "passing_on": 2, "swag": 3, "test": 1}
"""For one submission to a round of this kind: how many files of the model's size went over the wire.

The model that was fetched, and what was sent: an update, two vectors of moments, or no file. Other kinds: one.
"""


class RoundMean(NamedTuple):
    """A metric's mean over the participants. round: counted from the training's first, which is 1."""

    round: int
    mean: float


MetricMeans = Mapping[tuple[str, str], Sequence[RoundMean]]
"""By what was measured (`TESTS` or `UPDATES`) and the metric's name."""


@dataclass(frozen=True)
class ComparedTraining:
    """people: how many take part. closed: how many rounds. opened_at, closed_at: of the first round, of the last one.

    failure: what its last failure said. size: of the model's current version. submissions: how many, by kind of round.
    """

    row: Training
    name: str
    people: int
    closed: int
    opened_at: datetime | None
    closed_at: datetime | None
    failure: str
    size: int
    submissions: Mapping[str, int] = field(default_factory=dict)

    @property
    def bytes_moved(self) -> int:
        files = sum(FILES_MOVED.get(kind, 1) * number for kind, number in self.submissions.items())
        return files * self.size


def readable_trainings(user: User) -> QuerySet[Training]:
    """The trainings that the user may read, by the same policy as one of them."""
    return Training.objects.all() if policies.permits(user, "view", Training) else policies.trainings_of(user)


def offered_trainings(user: User) -> list[Training]:
    """The newest trainings that the user may read."""
    rows = readable_trainings(user).annotate(name=F("model__globalmodel__name"))
    return list(rows.order_by("-created_at")[:MAX_OFFERED])


def compared_trainings(ids: Sequence[UUID], user: User) -> list[ComparedTraining]:
    """Those of the trainings that the user may read, in the order of the ids. Two statements."""
    rows = {row.pk: row for row in _described(readable_trainings(user).filter(pk__in=ids))}
    counts: dict[UUID, dict[str, int]] = defaultdict(dict)
    submissions = Submission.objects.filter(round__training__in=list(rows)).order_by()
    for training_id, kind, number in submissions.values_list("round__training", "round__kind").annotate(Count("pk")):
        counts[training_id][kind] = number
    return [_compared(rows[one], counts[one]) for one in dict.fromkeys(ids) if one in rows]


def last_metrics(trainings: Collection[ComparedTraining]) -> list[int | None]:
    """Changes when their curves do; already read."""
    return [getattr(training.row, "last_metric", None) for training in trainings]


def metric_means(trainings: Sequence[ComparedTraining], user: User) -> dict[UUID, MetricMeans]:
    """By training: its metrics by round, as far as the user may read them. Two statements, or two more where somebody
    reported a value twice."""
    firsts = {training.row.model_id: training.row.first_round or 0 for training in trainings}
    trained = {training.row.model_id: training.row.pk for training in trainings}
    numbers = reported_numbers().filter(step__isnull=False)
    tests = numbers.filter(model__in=trained)
    updates = numbers.filter(model__in=_readable_updates(trained, user))
    found: dict[UUID, dict[tuple[str, str], list[RoundMean]]] = {pk: {} for pk in trained.values()}
    for source, metrics, column in ((TESTS, tests, "model"), (UPDATES, updates, "model__localmodel__base_model")):
        for model_id, key, step, mean in _means(metrics, column):
            number = step - firsts[model_id] + (source != TESTS)
            found[trained[model_id]].setdefault((source, key), []).append(RoundMean(number, mean))
    return dict(found)


def _means(metrics: QuerySet[Metric, Any], column: str) -> list[tuple[Any, str, int, float]]:
    rows = list(_added_up(metrics, column))
    if any(values > counted for *_, counted, values in rows):  # somebody reported twice: their last value counts
        rows = list(_added_up(last_values(metrics, column, "step"), column))
    return [(model_id, key, step, mean) for model_id, key, step, mean, _counted, _values in rows]


def _added_up(metrics: QuerySet[Metric, Any], column: str) -> QuerySet[Metric, Any]:
    wanted = {name: FIGURES[name] for name in ("mean", "counted", "values")}
    return metrics.order_by("key", "step").values_list(column, "key", "step").annotate(**wanted)


def _readable_updates(model_ids: Collection[UUID], user: User) -> QuerySet[LocalModel, Any]:
    """As `policies.updates_readable_by` for each of the trainings of these models."""
    updates = LocalModel.objects.filter(base_model__in=model_ids).order_by()
    if not policies.permits(user, "view", LocalModel):
        acts = Training.objects.filter(actor=user).values("model")
        updates = updates.filter(Q(owner=user) | Q(passed_to=user) | Q(base_model__in=acts))
    return updates.values("pk")


def _described(trainings: QuerySet[Training]) -> QuerySet[Training]:
    rounds = Round.objects.filter(training=OuterRef("pk")).order_by().values("training")
    failures = Event.objects.filter(training=OuterRef("pk"), kind=EventKind.FAILED).order_by("-id")
    people: QuerySet[Any, Any] = (
        Training.participants.through.objects.filter(training=OuterRef("pk")).order_by().values("training")
    )
    metrics = Metric.objects.filter(model=OuterRef("model")).order_by("-pk")
    return trainings.select_related("actor").annotate(
        name=F("model__globalmodel__name"),
        number=F("model__round"),
        size=F("model__globalmodel__current_version__size"),
        people=Subquery(people.annotate(figure=Count("pk")).values("figure")),
        opened=Subquery(rounds.annotate(figure=Min("opened_at")).values("figure")),
        closed=Subquery(rounds.annotate(figure=Max("closed_at")).values("figure")),
        failure=Subquery(failures.values("message")[:1]),
        last_metric=Subquery(metrics.values("pk")[:1]),
    )


def _compared(row: Any, submissions: Mapping[str, int]) -> ComparedTraining:
    closed = 0 if row.first_round is None else min(row.number - row.first_round, row.target_num_updates)
    return ComparedTraining(
        row=row,
        name=row.name or "",
        people=row.people or 0,
        closed=closed,
        opened_at=row.opened,
        closed_at=row.closed,
        failure=row.failure or "",
        size=row.size or 0,
        submissions=submissions,
    )
