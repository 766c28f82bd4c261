from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from fl_server_core.models.answer import Answer
from fl_server_core.models.metric import Metric
from fl_server_core.models.model import Model
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.models import get_readable_model

Reported = Sequence[tuple[str, str | bytes]]
BATCH = 100


def report_metrics(*, model_id: UUID | str, reporter: User, metrics: Reported) -> None:
    """Keep what somebody measured of a model; in a test round, this is the participant's answer.

    Raises:
        EntityNotFound, NotAllowed: no such model, or the reporter may not read it.
    """
    model = get_readable_model(model_id, reporter)
    with transaction.atomic():
        training = Training.objects.select_for_update().filter(model_id=model.pk).first()
        current = Model.objects.non_polymorphic().values_list("round", flat=True).get(pk=model.pk)
        write_metrics(model=model, reporter=reporter, metrics=metrics, step=current)
        is_asked = training is not None and training.is_running and training.phase == Phase.TEST
        if training is not None and is_asked and training.participants.filter(pk=reporter.pk).exists():
            Answer.objects.update_or_create(training=training, phase=Phase.TEST, round=current, participant=reporter)


def write_metrics(*, model: Model, reporter: User, metrics: Reported, step: int) -> None:
    """Write the rows; a value that is no float is kept as bytes."""
    Metric.objects.bulk_create([_metric(model, reporter, key, value, step) for key, value in metrics], batch_size=BATCH)


def _metric(model: Model, reporter: User, key: str, value: str | bytes, step: int) -> Metric:
    metric = Metric(model=model, key=key, step=step, reporter=reporter)
    try:
        metric.value = float(value)
    except ValueError:
        metric.value = value if isinstance(value, bytes) else value.encode()
    return metric
