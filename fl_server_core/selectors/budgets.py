"""What an account owns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Length

from fl_server_core.models.metric import Metric
from fl_server_core.models.model import GlobalModel, LocalModel
from fl_server_core.models.model_version import ModelVersion, VersionFile
from fl_server_core.models.submission import SubmissionFile
from fl_server_core.models.training import Training
from fl_server_core.models.user import User


@dataclass(frozen=True)
class Owned:
    """How many models and trainings, and which files, each once: copies of a model name the same ones.

    loose_bytes: what lies in the database instead, the binary values of metrics.
    """

    models: int
    trainings: int
    files: frozenset[str]
    loose_bytes: int


def owned_by(account: User) -> Owned:
    """Models are the account's global ones; its updates and submissions count by their files alone."""
    global_models = GlobalModel.objects.non_polymorphic().filter(owner=account)
    files: list[QuerySet[Any, Any]] = [
        ModelVersion.objects.filter(model__owner=account).exclude(weights_file="").values_list("weights_file"),
        VersionFile.objects.filter(version__model__owner=account).values_list("file"),
        global_models.exclude(preprocessing_file="").values_list("preprocessing_file"),
        LocalModel.objects.non_polymorphic().filter(owner=account).exclude(weights_file="").values_list("weights_file"),
        SubmissionFile.objects.filter(submission__participant=account).values_list("file"),
    ]
    loose = Metric.objects.filter(~Q(value_binary=None), reporter=account).aggregate(bytes=Sum(Length("value_binary")))
    return Owned(
        models=global_models.count(),
        trainings=Training.objects.filter(actor=account).count(),
        files=frozenset(str(name) for rows in files for (name,) in rows.order_by().iterator()),
        loose_bytes=loose["bytes"] or 0,
    )
