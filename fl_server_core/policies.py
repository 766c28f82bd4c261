"""Who may see or do what: pure functions of (user, row), and the querysets that go with them.

Views and services ask here, and nowhere else.
"""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet

from fl_server_core.models.model import LocalModel, MeanModel, Model
from fl_server_core.models.training import Training
from fl_server_core.models.user import User

PRIVILEGES = ("is_staff", "is_superuser", "groups", "user_permissions")


def is_operator(user: User) -> bool:
    """Staff may read and steer everything."""
    return bool(user.is_staff)


# --- Trainings -------------------------------------------------------------------------------------------------------


def is_participant(user: User, training: Training) -> bool:
    return training.participants.filter(pk=user.pk).exists()


def may_read_training(user: User, training: Training) -> bool:
    """Its actor, its participants and operators see a training, its status and its history."""
    return may_steer_training(user, training) or is_participant(user, training)


def may_steer_training(user: User, training: Training) -> bool:
    """Its actor and operators start, stop, resume and delete a training, and choose its participants."""
    return training.actor_id == user.pk or is_operator(user)


def may_retry_deliveries(user: User) -> bool:
    """Operators send notifications again."""
    return is_operator(user)


def trainings_of(user: User) -> QuerySet[Training]:
    """The trainings in which the user is actor or participant."""
    taking_part = Training.participants.through.objects.filter(user=user).values("training")
    return Training.objects.filter(Q(actor=user) | Q(pk__in=taking_part))


# --- Models ----------------------------------------------------------------------------------------------------------


def owns(user: User, model: Model) -> bool:
    """Only its owner trains a model, takes it into a mean model, or sets its preprocessing."""
    return model.owner_id == user.pk


def may_read_model(user: User, model: Model) -> bool:
    """Who may read a model, its versions, metadata and metrics, report metrics of it, and ask it for inferences.

    Global models: the owner, actor and participants of the training, operators, and the owner of a mean model that it
    is in. Local models: the owner, the training's actor, operators, and under FedDC the participant that it was passed
    to.
    """
    if is_operator(user) or owns(user, model):
        return True
    if isinstance(model, LocalModel):
        is_actor = Training.objects.filter(model_id=model.base_model_id, actor=user).exists()
        return is_actor or model.passed_to_id == user.pk
    if trainings_of(user).filter(model_id=model.pk).exists():
        return True
    return MeanModel.objects.filter(owner=user, models=model.pk).exists()


def may_manage_model(user: User, model: Model, training: Training | None) -> bool:
    """The owner, the actor of its training and operators delete a model and restore, name or pin its versions."""
    is_actor = training is not None and training.actor_id == user.pk
    return is_actor or owns(user, model) or is_operator(user)


def models_of(user: User) -> QuerySet[Model]:
    """The models that the user owns, and the global models of trainings in which it is actor or participant."""
    return Model.objects.filter(Q(owner=user) | Q(pk__in=trainings_of(user).values("model")))


def updates_readable_by(user: User, training: Training) -> QuerySet[LocalModel]:
    """The updates of a training that the user may read."""
    updates = LocalModel.objects.filter(base_model_id=training.model_id)
    return updates if may_steer_training(user, training) else updates.filter(Q(owner=user) | Q(passed_to=user))


def may_delete_metrics(user: User) -> bool:
    """Operators delete metrics."""
    return is_operator(user)


# --- Users -----------------------------------------------------------------------------------------------------------


def may_manage_account(user: User, account: User) -> bool:
    """Operators create, edit and delete accounts; only superusers those of superusers."""
    return bool(user.is_superuser) or (is_operator(user) and not account.is_superuser)


def may_invite(user: User) -> bool:
    """Operators with this permission make invitations to register."""
    return user.has_perm("fl_server_core.add_invitation")


def may_withdraw_invitations(user: User) -> bool:
    """Operators with this permission withdraw invitations."""
    return user.has_perm("fl_server_core.delete_invitation")


def may_delete_account(user: User, account: User) -> bool:
    """Everybody deletes their own account; operators, those that they manage."""
    return user.pk == account.pk or may_manage_account(user, account)


def may_set_password(user: User, account: User) -> bool:
    """Operators set the passwords of those that they manage; only superusers those of staff.

    Whoever sets a password can sign in as its owner. People change their own with the one that they have.
    """
    if account.is_staff or account.is_superuser:
        return bool(user.is_superuser)
    return may_manage_account(user, account)


def may_give_privileges(user: User) -> bool:
    """Superusers change what an account may do: `PRIVILEGES`."""
    return bool(user.is_superuser)


def may_hold_tokens(user: User) -> bool:
    """Superusers see and renew the tokens of others. Anyone who has a token can act as its user."""
    return bool(user.is_superuser)


def may_link_identities(user: User) -> bool:
    """Superusers say who signs in to which account at an OpenID Connect provider."""
    return bool(user.is_superuser)


# --- Groups ----------------------------------------------------------------------------------------------------------


def may_list_groups(user: User) -> bool:
    return bool(user.is_superuser)


def may_access_group(user: User, group: Group) -> bool:
    """Members see, rename and delete a group."""
    return user.groups.filter(pk=group.pk).exists()
