from __future__ import annotations

from uuid import UUID

from django.db.models import Max, QuerySet

from fl_server_core import policies
from fl_server_core.exceptions import Conflict, EntityNotFound, NotAllowed
from fl_server_core.models.model import GlobalModel, LocalModel, Model
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.models import lock_model
from fl_server_core.trail import note_training


def get_training(training_id: UUID) -> Training:
    """Raises EntityNotFound for an unknown id."""
    found = Training.objects.filter(pk=training_id).first()
    if found is None:
        raise EntityNotFound("Training", training_id)
    note_training(found)
    return found


def get_readable_training(training_id: UUID, user: User) -> Training:
    """Raises EntityNotFound, or NotAllowed for a user who may not read the training."""
    training = get_training(training_id)
    if not policies.may_read_training(user, training):
        raise NotAllowed
    return training


def get_steerable_training(training_id: UUID, user: User, message: str | None = None) -> Training:
    """Raises EntityNotFound, or NotAllowed for a user who may not steer the training."""
    training = get_training(training_id)
    if not policies.may_steer_training(user, training):
        raise NotAllowed(message) if message else NotAllowed
    return training


def lock_training(training_id: UUID) -> Training | None:
    """The training, its row locked until the transaction ends; None if it is gone."""
    return _noted(Training.objects.select_for_update().filter(pk=training_id).first())


def lock_training_of(model: Model) -> Training | None:
    """The training of a global model, its row locked until the transaction ends; None where it has none."""
    return _noted(Training.objects.select_for_update().filter(model_id=model.pk).first())


def _noted(training: Training | None) -> Training | None:
    note_training(training)
    return training


def lock_with_training(model: GlobalModel) -> tuple[GlobalModel, Training | None]:
    """A global model as it is now, and its training; both rows stay locked until the transaction ends.

    Raises:
        EntityNotFound: the model has just been deleted.
        Conflict: a training of the model has just been registered.
    """
    training = lock_training_of(model)
    if lock_model(model.pk) is None:
        raise EntityNotFound("GlobalModel", model.pk)
    if training is None and Training.objects.filter(model_id=model.pk).exists():
        raise Conflict(f"A training of model {model.pk} was registered at the same moment. Look again.")
    return GlobalModel.objects.get(pk=model.pk), training


def lock_known(training_id: UUID) -> Training:
    """The training, its row locked until the transaction ends. Raises EntityNotFound for an unknown id."""
    training = lock_training(training_id)
    if training is None:
        raise EntityNotFound("Training", training_id)
    return training


def lock_steerable(training_id: UUID, user: User, message: str | None = None) -> Training:
    """The training, its row locked until the transaction ends.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user may not steer it.
    """
    get_steerable_training(training_id, user, message)
    return lock_known(training_id)


def trainings_of_actor(user: User) -> QuerySet[Training]:
    return Training.objects.filter(actor=user).prefetch_related("participants")


def trainings_of_user(user: User) -> QuerySet[Training]:
    """The trainings in which the user is actor or participant."""
    return policies.trainings_of(user).prefetch_related("participants")


def round_progress(training: Training) -> tuple[int, int]:
    """How many updates of the current round have arrived, and how many are expected."""
    rows = LocalModel.objects.filter(submission__round__training=training)  # the model may have older ones
    current = Model.objects.non_polymorphic().filter(pk=training.model_id).values("round")
    return rows.filter(round__in=current).count(), training.participants.count()


def models_of_training(training_id: UUID, user: User) -> list[Model]:
    """The global model and the local models that the user may read: [] for an outsider and an unknown training.

    Raises:
        EntityNotFound: the id is the nil UUID, which stands for a malformed one.
    """
    if not training_id.int:
        raise EntityNotFound("Training", training_id)
    training = Training.objects.filter(pk=training_id).first()
    if training is None or not policies.may_read_training(user, training):
        return []
    return [*_readable_global(training, user), *policies.updates_readable_by(user, training)]


def latest_models_of_training(training_id: UUID, user: User) -> list[Model]:
    """The global model and each participant's newest local model, as far as the user may read them.

    Raises:
        EntityNotFound: the id is unknown.
    """
    training = get_training(training_id)
    if not policies.may_read_training(user, training):
        return []
    updates = policies.updates_readable_by(user, training)
    newest = updates.order_by().values("owner").annotate(newest=Max("created_at")).values("newest")
    latest = {row.owner_id: row for row in updates.filter(created_at__in=newest)}
    return [*_readable_global(training, user), *latest.values()]


def _readable_global(training: Training, user: User) -> list[GlobalModel]:
    models = GlobalModel.objects.filter(pk=training.model_id)
    return [model for model in models if policies.may_read_model(user, model)]
