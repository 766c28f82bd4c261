"""Versions of a training's model, as rounds that close make them."""

from __future__ import annotations

from django.db import transaction

from fl_server_core.models import GlobalModel, ModelVersion, Training
from fl_server_core.models.model_version import append_version, store_weights
from fl_server_core.services.version_keeping import prune_versions
from tests.builders.rows import make_round


def model_of(training: Training) -> GlobalModel:
    return GlobalModel.objects.get(pk=training.model_id)


def append(training: Training, times: int = 1) -> None:
    """As so many rounds that close."""
    for _ in range(times):
        model = model_of(training)
        made_by = make_round(training, number=model.round)
        model.round += 1
        number = model.versions.count()
        weights = store_weights(b"version %d" % number)
        state = store_weights(b"state %d" % number).name
        files = {"optimizer_state": state}
        with transaction.atomic():
            append_version(model, weights, made_by=made_by, files=files)
            prune_versions(model=model, training=training)


def kept(training: Training) -> list[int]:
    return [version.number for version in model_of(training).versions.all() if version.is_available]


def version(training: Training, number: int) -> ModelVersion:
    return model_of(training).versions.get(number=number)
