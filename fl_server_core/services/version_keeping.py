"""How long the files of a model's versions are kept."""

from __future__ import annotations

from django.conf import settings

from fl_server_core.models.model import GlobalModel
from fl_server_core.models.model_version import ModelVersion, VersionFile
from fl_server_core.models.training import Training
from fl_server_core.options import LEAST_KEPT, TrainerOptions
from fl_server_core.services.files import forget_files


def prune_versions(*, model: GlobalModel, training: Training) -> None:
    """Give up the files of old versions, after a new one: not of the first, the last few, and those named or pinned."""
    wanted = TrainerOptions.tolerant(training.options).keep_versions or settings.FL_KEEP_VERSIONS
    kept = list(model.versions.exclude(weights_file="").order_by("-number"))
    older = kept[max(wanted, LEAST_KEPT) :]
    outdated = [row for row in older if row.number > 0 and not row.name and not row.pinned]
    if not outdated:
        return
    parts = VersionFile.objects.filter(version__in=outdated)
    forget_files([row.weights_file.name or "" for row in outdated])
    parts.delete()
    ModelVersion.objects.filter(pk__in=[row.pk for row in outdated]).update(weights_file="")
