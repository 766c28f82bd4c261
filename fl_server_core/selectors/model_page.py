"""A model as those see it who look at it: its versions with their figures, and where it is used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F

from fl_server_core import policies
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.model import GlobalModel, LocalModel, MeanModel, Model
from fl_server_core.models.model_version import ModelVersion
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.sums import Point, points_by, reported_numbers

MAX_VERSIONS = 50
MAX_METRICS = 20
"""So many of a version's metrics are shown, the first by name."""


@dataclass(frozen=True)
class ShownVersion:
    """A version with the means of its metrics. restored_from: the number of the version that it is a copy of."""

    row: ModelVersion
    is_current: bool
    restored_from: int | None
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Uses:
    """Where a model is used, as far as the user may read it. updates: how many are kept."""

    trainings: Sequence[Training] = ()
    means: Sequence[MeanModel] = ()
    members: Sequence[GlobalModel] = ()
    base: GlobalModel | None = None
    updates: int = 0


def version_points(model: Model, **only: Any) -> list[Point]:
    """The metrics that test rounds asked for, by version: `number` is the version's. only: filters of the versions."""
    versions = {f"version__{name}": value for name, value in only.items()}
    metrics = reported_numbers().filter(model=model.pk, is_test=True, version__isnull=False, **versions)
    return points_by("version__number", metrics)


def shown_versions(model: Model) -> list[ShownVersion]:
    """The newest versions, newest first; an update and a mean have none."""
    versions = ModelVersion.objects.filter(model_id=model.pk).select_related("made_by").order_by("-number")
    rows = list(versions[:MAX_VERSIONS])
    means: dict[int, dict[str, float]] = defaultdict(dict)
    for point in version_points(model, number__gte=rows[-1].number) if rows else ():
        if len(means[point.number]) < MAX_METRICS:
            means[point.number][point.key] = point.mean
    events = Event.objects.filter(model_id=model.pk, kind=EventKind.VERSION_RESTORED) if rows else Event.objects.none()
    sources = {figures["restored_as"]: figures["version"] for figures in events.values_list("figures", flat=True)}
    current = model.current_version_id if isinstance(model, GlobalModel) else None
    return [ShownVersion(row, row.pk == current, sources.get(row.number), means[row.number]) for row in rows]


def uses_of(model: Model, user: User) -> Uses:
    """Of an update, the model that it is one of."""
    if isinstance(model, LocalModel):
        base = model.base_model
        return Uses(base=base if policies.may_read_model(user, base) else None)
    named = Training.objects.filter(model=model.pk).annotate(name=F("model__globalmodel__name"))
    trainings = [training for training in named if policies.may_read_training(user, training)]
    means = MeanModel.objects.filter(models=model.pk)
    if not policies.permits(user, "view", GlobalModel):
        means = means.filter(owner=user)
    members = list(model.models.order_by("created_at", "id")) if isinstance(model, MeanModel) else []
    updates = sum(policies.updates_readable_by(user, training).count() for training in trainings)
    return Uses(trainings, list(means), members, updates=updates)
