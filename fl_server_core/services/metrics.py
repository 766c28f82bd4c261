from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from fl_server_core import policies
from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models.event import EventKind
from fl_server_core.models.metric import Metric
from fl_server_core.models.model import GlobalModel, Model
from fl_server_core.models.round import Round
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.registry import round_kinds
from fl_server_core.selectors.models import complete, get_model, global_of
from fl_server_core.selectors.rounds import open_round_of
from fl_server_core.services.budgets import refuse_more_metrics, require_budget
from fl_server_core.services.history import record
from fl_server_core.trail import note_training

MAX_KEYS = 100
"""Names of metrics in one event: there may be a million."""
Reported = Sequence[tuple[str, str | bytes]]


def report_metrics(*, model_id: UUID, reporter: User, metrics: Reported) -> None:
    """Keep what somebody measured of a model; in a test round, this is the participant's submission.

    Raises:
        EntityNotFound, NotAllowed: no such model, or the reporter may not report metrics of it.
        BudgetSpent: the reporter has as many metrics as an account may have, or as many bytes: values that are not
            numbers count.
    """
    model = get_model(model_id)
    if not policies.may_report_metrics(reporter, model):
        raise NotAllowed
    with transaction.atomic():
        training = Training.objects.select_for_update().filter(model_id=model.pk).first()
        note_training(training)
        asked = None if training is None else _round_asking(training, reporter)
        rows = write_metrics(model=model, reporter=reporter, metrics=metrics, asked=asked)
        if asked is not None:
            Submission.objects.update_or_create(round=asked, participant=reporter)
        values = [row.value_binary for row in rows if row.is_binary()]
        if values:
            loose = sum(len(value or b"") for value in values)
            require_budget(account=reporter, added=("bytes",), loose=loose)


def _round_asking(training: Training, reporter: User) -> Round | None:
    """The open round, if it asks this participant for metrics; a claimed one takes no more."""
    row = open_round_of(training) if training.is_running else None
    kind = None if row is None or row.claim is not None else round_kinds.get(row.kind)
    if kind is None or not kind.takes_metrics:
        return None
    return row if training.participants.filter(pk=reporter.pk).exists() else None


def write_metrics(
    *, model: Model, reporter: User, metrics: Reported, step: int | None = None, asked: Round | None = None
) -> list[Metric]:
    """Write and return the rows, of the model's present version and, unless given, its present round.

    Raises:
        EntityNotFound: the model has just been deleted.
        BudgetSpent: the reporter has as many metrics as an account may have.
    """
    refuse_more_metrics(reporter, len(metrics))
    if step is None:
        step = Model.objects.non_polymorphic().filter(pk=model.pk).values_list("round", flat=True).first()
        if step is None:
            raise EntityNotFound("Model", model.pk)  # deleted since it was read
    versions = GlobalModel.objects.non_polymorphic().filter(pk=model.pk)
    version_id = versions.values_list("current_version", flat=True).first()
    rows = [_metric(model, reporter, key, value) for key, value in metrics]
    for row in rows:
        row.step, row.version_id, row.test_round, row.is_test = step, version_id, asked, asked is not None
    return Metric.objects.bulk_create(rows)


def _metric(model: Model, reporter: User, key: str, value: str | bytes) -> Metric:
    """A value that is not a number is kept as bytes."""
    metric = Metric(model=model, key=key, reporter=reporter)
    try:
        metric.value = float(value)
    except ValueError:
        metric.value = value if isinstance(value, bytes) else value.encode()
    return metric


def take_back_metrics(*, model_id: UUID, reporter: User) -> int:
    """Remove what somebody has reported of a model. A submission to a test round stays, without its values.

    Returns: how many there were.

    Raises:
        EntityNotFound, NotAllowed: no such model, or it is none of the user's business.
    """
    model = get_model(model_id)
    if not policies.may_take_back_metrics(reporter, model):
        raise NotAllowed
    base = global_of(model)
    with transaction.atomic():
        training = Training.objects.select_for_update().filter(model_id=base.pk).first()
        rows = Metric.objects.filter(model_id=model.pk, reporter=reporter)
        keys = sorted(rows.order_by().values_list("key", flat=True).distinct()[:MAX_KEYS])
        count, _ = rows.delete()
        if count:
            record(
                training=training,
                model=base,
                kind=EventKind.METRICS_DELETED,
                number=base.round,
                author_id=reporter.pk,
                keys=keys,
                metrics=count,
            )
    return count


def delete_metrics(*, metric_ids: Sequence[int], user: User) -> None:
    """Remove metrics. A submission to a test round stays, without its values.

    Raises:
        NotAllowed: the user may not delete metrics.
    """
    if not policies.may_delete_metrics(user):
        raise NotAllowed
    with transaction.atomic():
        rows = Metric.objects.filter(pk__in=metric_ids)
        keys: dict[UUID, list[str]] = defaultdict(list)
        for model_id, key in rows.order_by("id").values_list("model_id", "key"):
            keys[model_id].append(key)
        rows.delete()
        for model in complete(Model.objects.filter(pk__in=keys)):
            base = global_of(model)
            record(
                training=Training.objects.select_for_update().filter(model_id=base.pk).first(),
                model=base,
                kind=EventKind.METRICS_DELETED,
                number=base.round,
                author_id=user.pk,
                keys=keys[model.pk],
            )
