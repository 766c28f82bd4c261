"""Who may see or do what: pure functions of (user, row), and the querysets that go with them.

Views and services ask here, and nowhere else. Staff may do through the API what their Django permissions allow them to
do in the admin: each rule names the permission. Superusers have all of them.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q, QuerySet

from fl_server_core.models.alert import AlertRule
from fl_server_core.models.delivery import Delivery
from fl_server_core.models.invitation import Invitation
from fl_server_core.models.metric import Metric
from fl_server_core.models.model import GlobalModel, LocalModel, MeanModel, Model
from fl_server_core.models.model_version import ModelVersion
from fl_server_core.models.training import Training
from fl_server_core.models.user import User

PRIVILEGES = ("is_staff", "is_superuser", "groups", "user_permissions")
EVERYONE = "everyone"


def permits(user: User, action: str, kind: type[models.Model]) -> bool:
    """Has a member of the staff, or a superuser, the permission to view, add, change or delete rows of this kind?

    Permissions of users who are not on the staff count as little here as in the admin. Who may change may view.
    """
    if not (user.is_staff or user.is_superuser):
        return False
    actions = ("view", "change") if action == "view" else (action,)
    label = kind._meta.app_label
    return any(user.has_perm(f"{label}.{name}_{kind._meta.model_name}") for name in actions)


# --- Trainings -------------------------------------------------------------------------------------------------------


def acts(user: User) -> bool:
    """Is the user one of those who may register models and trainings, as FL_ACTORS says?"""
    return settings.FL_ACTORS == EVERYONE or bool(user.actor)


def may_create_training(user: User) -> bool:
    """Actors create trainings, and staff who may add them."""
    return acts(user) or permits(user, "add", Training)


def is_participant(user: User, training: Training) -> bool:
    return training.participants.filter(pk=user.pk).exists()


def may_read_training(user: User, training: Training) -> bool:
    """Its actor, its participants and staff who may view trainings see a training, its status and its history."""
    return training.actor_id == user.pk or permits(user, "view", Training) or is_participant(user, training)


def may_compare_participants(user: User, training: Training) -> bool:
    """Its actor, and staff who may view trainings, see the figures of all participants' updates; others their own."""
    return training.actor_id == user.pk or permits(user, "view", Training)


def may_steer_training(user: User, training: Training) -> bool:
    """Its actor, and staff who may change trainings, start, stop and resume a training and choose its participants."""
    return training.actor_id == user.pk or permits(user, "change", Training)


def may_delete_training(user: User, training: Training) -> bool:
    """Its actor, and staff who may delete trainings."""
    return training.actor_id == user.pk or permits(user, "delete", Training)


def may_retry_deliveries(user: User) -> bool:
    """Staff who may change deliveries send notifications again."""
    return permits(user, "change", Delivery)


def may_read_deliveries(user: User, training: Training) -> bool:
    """Its actor, and staff who may view deliveries, see what came of all notifications of a training.

    The others see only what came of their own.
    """
    return training.actor_id == user.pk or permits(user, "view", Delivery)


def trainings_of(user: User) -> QuerySet[Training]:
    """The trainings in which the user is actor or participant."""
    taking_part = Training.participants.through.objects.filter(user=user).values("training")
    return Training.objects.filter(Q(actor=user) | Q(pk__in=taking_part))


# --- Models ----------------------------------------------------------------------------------------------------------


def may_create_model(user: User) -> bool:
    """Actors upload models, and staff who may add global models."""
    return acts(user) or permits(user, "add", GlobalModel)


def owns(user: User, model: Model) -> bool:
    """Only its owner trains a model, takes it into a mean model, or sets its preprocessing."""
    return model.owner_id == user.pk


def _kind_of(model: Model) -> type[Model]:
    """The class whose permissions count for a model: one for all global models, as in the admin, one for updates."""
    return LocalModel if isinstance(model, LocalModel) else GlobalModel


def concerns(user: User, model: Model) -> bool:
    """Has the user to do with the model?

    With a global model: the owner, actor and participants of the training, and the owner of a mean model that it is in.
    With a local model: the owner, the training's actor, and under FedDC the participant that it was passed to.
    """
    if owns(user, model):
        return True
    if isinstance(model, LocalModel):
        is_actor = Training.objects.filter(model_id=model.base_model_id, actor=user).exists()
        return is_actor or model.passed_to_id == user.pk
    if trainings_of(user).filter(model_id=model.pk).exists():
        return True
    return MeanModel.objects.filter(owner=user, models=model.pk).exists()


def may_read_model(user: User, model: Model) -> bool:
    """Whom it concerns, and staff who may view it, read a model, its versions and metadata, and ask for inferences."""
    return permits(user, "view", _kind_of(model)) or concerns(user, model)


def may_read_metrics(user: User, model: Model) -> bool:
    """Whom the model concerns, and staff who may view metrics."""
    return permits(user, "view", Metric) or concerns(user, model)


def may_report_metrics(user: User, model: Model) -> bool:
    """Whom the model concerns, and staff who may add metrics."""
    return permits(user, "add", Metric) or concerns(user, model)


def _manages(user: User, model: Model, training: Training | None) -> bool:
    return owns(user, model) or (training is not None and training.actor_id == user.pk)


def may_edit_model(user: User, model: Model, training: Training | None) -> bool:
    """The owner, the actor of its training, and staff who may change it."""
    return _manages(user, model, training) or permits(user, "change", _kind_of(model))


def may_delete_model(user: User, model: Model, training: Training | None) -> bool:
    """The owner, the actor of its training, and staff who may delete it and the training that goes with it."""
    is_alone = training is None or isinstance(model, LocalModel) or permits(user, "delete", Training)
    return _manages(user, model, training) or (permits(user, "delete", _kind_of(model)) and is_alone)


def may_change_versions(user: User, model: Model, training: Training | None) -> bool:
    """The owner, the actor of its training, and staff who may change versions restore, name and pin versions."""
    return _manages(user, model, training) or permits(user, "change", ModelVersion)


def models_of(user: User) -> QuerySet[Model]:
    """The models that the user owns, and the global models of trainings in which it is actor or participant."""
    return Model.objects.filter(Q(owner=user) | Q(pk__in=trainings_of(user).values("model")))


def updates_readable_by(user: User, training: Training) -> QuerySet[LocalModel]:
    """The updates of a training that the user may read."""
    updates = LocalModel.objects.filter(base_model_id=training.model_id)
    reads_all = training.actor_id == user.pk or permits(user, "view", LocalModel)
    return updates if reads_all else updates.filter(Q(owner=user) | Q(passed_to=user))


def may_take_back_metrics(user: User, model: Model) -> bool:
    """Who has reported some of the model, and whoever may still report."""
    return may_report_metrics(user, model) or Metric.objects.filter(model=model, reporter=user).exists()


def metrics_readable_by(user: User, training: Training) -> QuerySet[Metric]:
    """For users who may read the metrics of the training's model: these, and those of the updates that they may read.

    The actor and staff who may view metrics read those of all updates.
    """
    of_updates = Q(localmodel__base_model=training.model_id)
    if training.actor_id != user.pk and not permits(user, "view", Metric):
        of_updates &= Q(localmodel__owner=user) | Q(localmodel__passed_to=user)
    models = Model.objects.non_polymorphic().filter(Q(pk=training.model_id) | of_updates)
    return Metric.objects.filter(model__in=models.values("pk"))


def may_delete_metrics(user: User) -> bool:
    """Staff who may delete metrics."""
    return permits(user, "delete", Metric)


# --- Users -----------------------------------------------------------------------------------------------------------


def may_create_accounts(user: User) -> bool:
    """Staff who may add users make accounts for others."""
    return permits(user, "add", User)


def may_manage_account(user: User, account: User, action: str = "change") -> bool:
    """Staff who may change users edit accounts, who may `delete` them delete; only superusers those of superusers."""
    return permits(user, action, User) and (bool(user.is_superuser) or not account.is_superuser)


def may_see_contacts(user: User, account: User) -> bool:
    """Everybody sees their own email address and message endpoint; staff who may view users, and, where
    FL_SHOW_CONTACTS is on, all users, see those of others."""
    return user.pk == account.pk or bool(settings.FL_SHOW_CONTACTS) or permits(user, "view", User)


def may_call_itself_actor() -> bool:
    """The flag `actor` grants something where FL_ACTORS is `flagged`: there only staff set it."""
    return bool(settings.FL_ACTORS == EVERYONE)


def may_invite(user: User) -> bool:
    """Staff who may add invitations make them: to register."""
    return permits(user, "add", Invitation)


def may_withdraw_invitations(user: User) -> bool:
    """Staff who may delete invitations withdraw them."""
    return permits(user, "delete", Invitation)


def may_delete_account(user: User, account: User) -> bool:
    """Everybody deletes their own account; staff who may delete users, those of others."""
    return user.pk == account.pk or may_manage_account(user, account, "delete")


def may_set_password(user: User, account: User) -> bool:
    """Staff who may change users set their passwords; only superusers those of staff.

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


def may_manage_alert_rule(user: User, rule: AlertRule, action: str = "change") -> bool:
    """Everybody changes and deletes their own alert rules; staff who may change or delete them, those of others."""
    return rule.user_id == user.pk or permits(user, action, AlertRule)


# --- Groups ----------------------------------------------------------------------------------------------------------


def may_list_groups(user: User) -> bool:
    """Staff who may view groups."""
    return permits(user, "view", Group)


def is_privileged(group: Group) -> bool:
    """Does the group carry permissions, or have members who are staff or superusers?"""
    staff = group.user_set.filter(Q(is_staff=True) | Q(is_superuser=True))
    return group.permissions.exists() or staff.exists()


def may_read_group(user: User, group: Group) -> bool:
    """Members, and staff who may view groups."""
    return permits(user, "view", Group) or user.groups.filter(pk=group.pk).exists()


def may_change_group(user: User, group: Group, action: str = "change") -> bool:
    """Staff who may change groups rename them, who may `delete` them delete; members do both with a plain group."""
    if permits(user, action, Group):
        return True
    return user.groups.filter(pk=group.pk).exists() and not is_privileged(group)
