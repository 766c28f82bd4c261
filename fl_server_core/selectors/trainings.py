from __future__ import annotations

from uuid import UUID

from django.db.models import Max, Q, QuerySet

from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models.model import GlobalModel, LocalModel, Model
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.models import parse_uuid


def get_training(training_id: UUID | str) -> Training:
    """Raises EntityNotFound for an unknown or malformed id."""
    identifier = parse_uuid(training_id)
    found = None if identifier is None else Training.objects.filter(pk=identifier).first()
    if found is None:
        raise EntityNotFound("Training", training_id)
    return found


def get_readable_training(training_id: UUID | str, user: User) -> Training:
    """Raises EntityNotFound, or NotAllowed for one who is neither actor nor participant nor staff."""
    training = get_training(training_id)
    if not takes_part(training, user):
        raise NotAllowed
    return training


def get_steerable_training(training_id: UUID | str, user: User, message: str | None = None) -> Training:
    """Raises EntityNotFound, or NotAllowed for one who is neither actor nor staff."""
    training = get_training(training_id)
    if not (training.actor_id == user.pk or user.is_staff):
        raise NotAllowed(message) if message else NotAllowed
    return training


def takes_part(training: Training, user: User) -> bool:
    """May this user read the training: is it actor, participant or staff?"""
    return user.is_staff or training.actor_id == user.pk or training.participants.filter(pk=user.pk).exists()


def trainings_of_actor(user: User) -> QuerySet[Training]:
    return Training.objects.filter(actor=user).prefetch_related("participants")


def trainings_of_user(user: User) -> QuerySet[Training]:
    """The trainings in which the user is actor or participant."""
    taking_part = Training.participants.through.objects.filter(user=user).values("training")
    return Training.objects.filter(Q(actor=user) | Q(pk__in=taking_part)).prefetch_related("participants")


def round_progress(training: Training) -> tuple[int, int]:
    """How many updates of the current round have arrived, and how many are expected."""
    rows = LocalModel.objects.filter(base_model_id=training.model_id)
    current = Model.objects.non_polymorphic().filter(pk=training.model_id).values("round")
    return rows.filter(round__in=current).count(), training.participants.count()


def models_of_training(training_id: UUID | str, user: User) -> list[Model]:
    """The global model and the local models that the user may read: [] for an outsider and an unknown training.

    Raises:
        EntityNotFound: the id is malformed.
    """
    identifier = parse_uuid(training_id)
    if identifier is None:
        raise EntityNotFound("Training", training_id)
    training = Training.objects.filter(pk=identifier).first()
    if training is None or not takes_part(training, user):
        return []
    return [*GlobalModel.objects.filter(pk=training.model_id), *_readable_updates(training, user)]


def latest_models_of_training(training_id: UUID | str, user: User) -> list[Model]:
    """The global model and each participant's newest local model, as far as the user may read them.

    Raises:
        EntityNotFound: the id is unknown or malformed.
    """
    training = get_training(training_id)
    if not takes_part(training, user):
        return []
    updates = _readable_updates(training, user)
    newest = updates.order_by().values("owner").annotate(newest=Max("created_at")).values("newest")
    latest = {row.owner_id: row for row in updates.filter(created_at__in=newest)}
    return [*GlobalModel.objects.filter(pk=training.model_id), *latest.values()]


def _readable_updates(training: Training, user: User) -> QuerySet[LocalModel]:
    updates = LocalModel.objects.filter(base_model_id=training.model_id)
    if user.is_staff or training.actor_id == user.pk:
        return updates
    return updates.filter(Q(owner=user) | Q(passed_to=user))
