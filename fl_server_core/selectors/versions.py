"""The versions of global models."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import mean
from typing import Any
from uuid import UUID

from django.db.models import F

from fl_server_core.exceptions import Gone, InvalidRequest
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.metric import Metric
from fl_server_core.models.model import GlobalModel, Model
from fl_server_core.models.model_version import ModelVersion
from fl_server_core.trail import note


def find_version(model: Model, number: int | None = None) -> ModelVersion | None:
    """The version of this number; without one the current version, None if the model has none, as an update has.

    Raises:
        InvalidRequest, Gone: as `get_version` does.
    """
    if number is not None:
        return get_version(model, number)
    found = ModelVersion.objects.filter(pk=F("model__current_version"), model_id=model.pk).first()
    note(version=None if found is None else found.number)
    return found


def get_version(model: Model, number: int) -> ModelVersion:
    """The version of this number.

    Raises:
        InvalidRequest: the model has no version of this number.
        Gone: its file is no longer kept.
    """
    found = ModelVersion.objects.filter(model_id=model.pk, number=number).first()
    if found is None:
        raise InvalidRequest(f"Model {model.pk} has no version {number}.")
    note(version=number)
    if not found.is_available:
        raise Gone(f"Version {number} of model {model.pk} is no longer kept.")
    return found


def versions_of(model: Model) -> list[dict[str, Any]]:
    """A model's versions, newest last, each with the means of its test metrics; an update and a mean have none."""
    means = _mean_metrics(model.pk)
    rows = GlobalModel.objects.non_polymorphic().filter(pk=model.pk)
    current = rows.values_list("current_version", flat=True).first()
    sources = _sources_of_restored(model.pk)
    return [
        {
            "version": row.number,
            "created_at": row.created_at,
            "size": row.size,
            "sha256": row.digest,
            "available": row.is_available,
            "is_current": row.pk == current,
            "name": row.name,
            "pinned": row.pinned,
            "restored_from": sources.get(row.number),
            "metrics": means[row.pk],
        }
        for row in ModelVersion.objects.filter(model_id=model.pk).order_by("number")
    ]


def round_of(model: Model, number: int | None) -> int:
    """The round that a version belongs to; without a number, the model's own.

    Raises:
        InvalidRequest, Gone: no such version, or its file is no longer kept.
    """
    version = None if number is None else find_version(model, number)
    return model.round if version is None else version.round


def _sources_of_restored(model_id: UUID) -> dict[int, int]:
    """By the number of a restored version: of which it is one."""
    events = Event.objects.filter(model_id=model_id, kind=EventKind.VERSION_RESTORED)
    return {figures["restored_as"]: figures["version"] for figures in events.values_list("figures", flat=True)}


def _mean_metrics(model_id: UUID) -> dict[int, dict[str, float]]:
    """By version: of each metric, the mean over the participants of the version's test round, each one's last value."""
    rows = Metric.objects.filter(model_id=model_id, is_test=True, version__isnull=False, value_binary__isnull=True)
    last: dict[tuple[int, str], dict[UUID | None, float]] = defaultdict(dict)
    for version_id, key, reporter_id, value in rows.order_by("id").values_list(
        "version_id", "key", "reporter_id", "value_float"
    ):
        last[version_id, key][reporter_id] = math.nan if value is None else value
    means: dict[int, dict[str, float]] = defaultdict(dict)
    for (version_id, key), values in last.items():
        means[version_id][key] = _mean(list(values.values()))
    return means


def _mean(values: Sequence[float]) -> float:
    """The exact mean, rounded once: equal values have themselves as their mean, and no sum is too large.

    NaN where one is NaN, and of infinities of both signs.
    """
    return mean(values)
