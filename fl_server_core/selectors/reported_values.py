"""What was reported to a training, value by value, for those who copy it elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Min, Q, QuerySet

from fl_server_core.models.metric import Metric
from fl_server_core.models.model import Model
from fl_server_core.models.training import Training
from fl_server_core.selectors.metrics import figures_of


@dataclass(frozen=True)
class ReportedValue:
    """A number at a step. reporter: the name of who reported it; empty: the mean of all participants at this step."""

    key: str
    reporter: str
    step: int
    value: float
    at: datetime


def newest_metric(training: Training) -> int:
    """The id of the newest metric of a training; 0: it has none."""
    newest = _all_metrics(training).order_by("-id").values_list("id", flat=True).first()
    return newest or 0


def reported_values(training: Training, after: int = 0) -> Iterator[ReportedValue]:
    """The numbers of a training by step: each reporter's, then the mean; of updates with the key `update/<key>`.

    after: only metrics with a greater id, and the means that they change. The mean leaves out what the actor reports
    who doesn't take part. One step is in memory at a time.
    """
    is_number = Q(value_float__isnull=False) | ~Q(value_special="")
    rows = _all_metrics(training).filter(is_number, step__isnull=False)
    first = rows.filter(pk__gt=after).aggregate(step=Min("step"))["step"]
    if first is None:
        return
    takes_part = training.participants.filter(pk=training.actor_id).exists()
    outside: set[UUID | None] = {None} if takes_part else {None, training.actor_id}
    found = figures_of(training, rows.filter(step__gte=first)).order_by("step", "id").iterator(chunk_size=2000)
    for step, group in groupby(found, key=lambda row: row["step"]):
        yield from _values_of_step(step, list(group), after, outside)


def _values_of_step(
    step: int, rows: list[dict[str, Any]], after: int, outside: set[UUID | None]
) -> Iterator[ReportedValue]:
    latest: dict[str, dict[UUID, dict[str, Any]]] = {}
    changed = set()
    for row in rows:
        key = f"update/{row['key']}" if row["is_update"] else row["key"]
        if row["id"] > after:
            changed.add(key)
            yield ReportedValue(key, row["reporter_name"] or "nobody", step, _number(row), row["created_at"])
        if row["reporter_id"] not in outside:
            latest.setdefault(key, {})[row["reporter_id"]] = row
    for key in sorted(changed & latest.keys()):
        counted = latest[key].values()
        mean = sum(_number(row) for row in counted) / len(counted)  # fmean refuses both infinities at once
        yield ReportedValue(key, "", step, mean, max(row["created_at"] for row in counted))


def _number(row: dict[str, Any]) -> float:
    return float(row["value_special"] or row["value_float"])


def _all_metrics(training: Training) -> QuerySet[Metric]:
    models = Model.objects.non_polymorphic().filter(
        Q(pk=training.model_id) | Q(localmodel__base_model=training.model_id)
    )
    return Metric.objects.filter(model__in=models.values("pk"))
