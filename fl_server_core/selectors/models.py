from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q, QuerySet

from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models.metric import Metric
from fl_server_core.models.model import GlobalModel, LocalModel, MeanModel, Model
from fl_server_core.models.training import Training
from fl_server_core.models.user import User


def parse_uuid(value: UUID | str) -> UUID | None:
    """A UUID with or without dashes; None where the text is none."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        return None


def get_model(model_id: UUID | str, entity: str = "Model") -> Model:
    """Raises EntityNotFound, in the name of `entity`, for an unknown or malformed id."""
    identifier = parse_uuid(model_id)
    found = None if identifier is None else find_model(identifier)
    if found is None:
        raise EntityNotFound(entity, model_id)
    return found


def find_model(model_id: UUID) -> Model | None:
    """The model; None where there is none."""
    return next(iter(complete(Model.objects.filter(pk=model_id))), None)


def complete(models: Iterable[Model]) -> list[Model]:
    """Without those that were deleted between the two statements that read a model: of these, a bare Model is left."""
    return [model for model in models if type(model) is not Model]


def get_readable_model(model_id: UUID | str, user: User, entity: str = "Model") -> Model:
    """Raises EntityNotFound, or NotAllowed for one who may not read the model."""
    model = get_model(model_id, entity)
    if not may_read(model, user):
        raise NotAllowed
    return model


def may_read(model: Model, user: User) -> bool:
    """Who may read a model, its metadata and its metrics, and ask it for inferences.

    Global models: owner, actor and participants of the training, staff, and the owner of a mean model that it is in.
    Local models: owner, the training's actor, staff, and under FedDC the participant whom it was passed to.
    """
    if user.is_staff or model.owner_id == user.pk:
        return True
    if isinstance(model, LocalModel):
        is_actor = Training.objects.filter(model_id=model.base_model_id, actor=user).exists()
        return is_actor or model.passed_to_id == user.pk
    if Training.objects.filter(Q(actor=user) | Q(participants=user), model_id=model.pk).exists():
        return True
    return MeanModel.objects.filter(owner=user, models=model.pk).exists()


def models_of_user(user: User) -> QuerySet[Model]:
    """The models that the user owns, and the global models of trainings in which it is actor or participant."""
    taking_part = Training.participants.through.objects.filter(user=user).values("training")
    trained = Training.objects.filter(Q(actor=user) | Q(pk__in=taking_part)).values("model")
    return Model.objects.filter(Q(owner=user) | Q(pk__in=trained))


def metrics_of_model(model: Model) -> QuerySet[Metric]:
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
