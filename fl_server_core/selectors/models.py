from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet

from fl_server_core import policies
from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models.metric import Metric
from fl_server_core.models.model import GlobalModel, LocalModel, Model
from fl_server_core.models.user import User
from fl_server_core.trail import note_model


def get_model(model_id: UUID, entity: str = "Model") -> Model:
    """Raises EntityNotFound, in the name of `entity`, for an unknown id."""
    found = find_model(model_id)
    if found is None:
        raise EntityNotFound(entity, model_id)
    return found


def find_model(model_id: UUID) -> Model | None:
    """The model; None where there is none."""
    found = Model.objects.filter(pk=model_id).first()
    note_model(found)
    return None if type(found) is Model else found  # a bare one was deleted while it was read


def lock_model(model_id: UUID) -> Model | None:
    """The model's plain row, locked until the transaction ends; None if it is gone.

    Whoever makes rows that name a model's files, and whoever gives such a file up, locks it first: what is removed
    after a commit must be seen to be named elsewhere. Where both are locked, the training comes first.
    """
    found: Any = Model.objects.non_polymorphic().select_for_update().filter(pk=model_id).first()
    return cast("Model | None", found)


def complete(models: Iterable[Model]) -> list[Model]:
    """Without those that were deleted between the two statements that read a model: of these, a bare Model is left."""
    return [model for model in models if type(model) is not Model]


def get_readable_model(model_id: UUID, user: User, entity: str = "Model") -> Model:
    """Raises EntityNotFound, or NotAllowed for a user who may not read the model."""
    model = get_model(model_id, entity)
    if not policies.may_read_model(user, model):
        raise NotAllowed
    return model


def metrics_of_model(model_id: UUID, user: User) -> QuerySet[Metric]:
    """Raises EntityNotFound, or NotAllowed for a user who may not read the model's metrics."""
    model = get_model(model_id)
    if not policies.may_read_metrics(user, model):
        raise NotAllowed
    return Metric.objects.filter(model=model)


def global_of(model: Model) -> GlobalModel:
    """The model itself, or the global model that this local one is an update of.

    Raises:
        EntityNotFound: the global model has just been deleted.
    """
    try:
        found = model.base_model if isinstance(model, LocalModel) else model
    except GlobalModel.DoesNotExist:
        raise EntityNotFound("Model", model.pk) from None
    assert isinstance(found, GlobalModel)  # noqa: S101  a plain Model is never created
    return found
