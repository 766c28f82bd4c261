from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Length

from fl_server_core import policies
from fl_server_core.exceptions import NotAllowed
from fl_server_core.models.metric import Metric
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.models import get_model
from fl_server_core.selectors.trainings import get_training

FIGURE_COLUMNS = (
    "id", "step", "version_number", "key", "value_float", "value_special", "binary_size", "reporter_id",
    "reporter_name", "model_id", "is_update", "is_test", "created_at",
)  # fmt: skip


def metrics_of_training(training_id: UUID, user: User) -> QuerySet[Metric, dict[str, Any]]:
    """The metrics of a training's model, and of the updates that the user may read, as `figures_of` has them.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user may not read the metrics of its model.
    """
    training = get_training(training_id)
    if not policies.may_read_metrics(user, get_model(training.model_id)):
        raise NotAllowed
    return figures_of(training, policies.metrics_readable_by(user, training))


def figures_of(training: Training, rows: QuerySet[Metric]) -> QuerySet[Metric, dict[str, Any]]:
    """Rows as dictionaries with FIGURE_COLUMNS, oldest first. Values that are not numbers are not read, but measured.

    binary_size: bytes of such a value. is_update: it was reported of an update, not of the global model.
    """
    found: QuerySet[Metric, dict[str, Any]] = (
        rows.order_by("id")
        .annotate(
            version_number=F("version__number"),
            reporter_name=F("reporter__username"),
            binary_size=Length("value_binary"),
            is_update=ExpressionWrapper(~Q(model=training.model_id), output_field=BooleanField()),
        )
        .values(*FIGURE_COLUMNS)
    )
    return found
