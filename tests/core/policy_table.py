"""Who may do what, policy by policy: the people, what it is about, and the answers expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth.models import Group

from fl_server_core import policies
from fl_server_core.models import AlertRule, GlobalModel, LocalModel, Metric, Training, User
from tests.builders.clients import make_staff
from tests.builders.rows import (
    make_alert_rule,
    make_metric,
    make_model,
    make_training,
    make_update,
    make_user,
)

PEOPLE = ("outsider", "other", "participant", "actor", "owner", "staff", "clerk", "superuser")
"""participant: of the update; other: a participant that the update was passed to.

staff: without a permission; clerk: on the staff, with every permission; superuser: not on the staff.
"""


@dataclass
class Scene:
    """A training whose model belongs to somebody else than its actor, with one participant's update."""

    people: dict[str, User]
    model: GlobalModel
    training: Training
    update: LocalModel
    passed: LocalModel
    group: Group
    metric: Metric
    rule: AlertRule


def make_scene() -> Scene:
    """The people, and one of everything."""
    people = {name: make_user(name) for name in PEOPLE[:-3]}
    people["clerk"] = make_staff("clerk")
    people["staff"] = make_user("staff", is_staff=True)
    people["superuser"] = make_user("superuser", is_superuser=True)
    model = make_model(people["owner"])
    training = make_training(people["actor"], [people["participant"], people["other"]], model)
    update = make_update(model, people["participant"])
    passed = make_update(model, people["participant"], passed_to=people["other"])
    group = Group.objects.create(name="ward")
    people["other"].groups.add(group)
    metric = make_metric(update, "loss", 1.0, reporter=people["participant"])
    rule = make_alert_rule(people["participant"])
    return Scene(people, model, training, update, passed, group, metric, rule)


Question = Callable[[User, Scene], bool]
ALL = {"clerk", "superuser"}
"""Who has every permission."""
TABLE: dict[str, tuple[Question, set[str]]] = {
    "permits": (lambda user, scene: policies.permits(user, "add", Training), ALL),
    "act": (lambda user, scene: policies.acts(user), set(PEOPLE)),
    "create training": (lambda user, scene: policies.may_create_training(user), set(PEOPLE)),
    "create model": (lambda user, scene: policies.may_create_model(user), set(PEOPLE)),
    "call itself actor": (lambda user, scene: policies.may_call_itself_actor(), set(PEOPLE)),
    "participant": (lambda user, scene: policies.is_participant(user, scene.training), {"participant", "other"}),
    "read training": (
        lambda user, scene: policies.may_read_training(user, scene.training),
        {"participant", "other", "actor"} | ALL,
    ),
    "compare participants": (
        lambda user, scene: policies.may_compare_participants(user, scene.training),
        {"actor"} | ALL,
    ),
    "steer training": (lambda user, scene: policies.may_steer_training(user, scene.training), {"actor"} | ALL),
    "delete training": (lambda user, scene: policies.may_delete_training(user, scene.training), {"actor"} | ALL),
    "trainings": (
        lambda user, scene: scene.training in policies.trainings_of(user),
        {"participant", "other", "actor"},
    ),
    "own": (lambda user, scene: policies.owns(user, scene.model), {"owner"}),
    "concern": (
        lambda user, scene: policies.concerns(user, scene.model),
        {"participant", "other", "actor", "owner"},
    ),
    "read model": (
        lambda user, scene: policies.may_read_model(user, scene.model),
        {"participant", "other", "actor", "owner"} | ALL,
    ),
    "read metrics": (
        lambda user, scene: policies.may_read_metrics(user, scene.model),
        {"participant", "other", "actor", "owner"} | ALL,
    ),
    "report metrics": (
        lambda user, scene: policies.may_report_metrics(user, scene.update),
        {"participant", "actor"} | ALL,
    ),
    "take back metrics": (
        lambda user, scene: policies.may_take_back_metrics(user, scene.update),
        {"participant", "actor"} | ALL,
    ),
    "metrics of updates": (
        lambda user, scene: scene.metric in policies.metrics_readable_by(user, scene.training),
        {"participant", "actor"} | ALL,
    ),
    "manage alert rule": (
        lambda user, scene: policies.may_manage_alert_rule(user, scene.rule),
        {"participant"} | ALL,
    ),
    "read update": (lambda user, scene: policies.may_read_model(user, scene.update), {"participant", "actor"} | ALL),
    "read what was passed on": (
        lambda user, scene: policies.may_read_model(user, scene.passed),
        {"participant", "other", "actor"} | ALL,
    ),
    "edit model": (
        lambda user, scene: policies.may_edit_model(user, scene.model, scene.training),
        {"actor", "owner"} | ALL,
    ),
    "edit model without training": (
        lambda user, scene: policies.may_edit_model(user, scene.model, None),
        {"owner"} | ALL,
    ),
    "delete model": (
        lambda user, scene: policies.may_delete_model(user, scene.model, scene.training),
        {"actor", "owner"} | ALL,
    ),
    "delete update": (
        lambda user, scene: policies.may_delete_model(user, scene.update, scene.training),
        {"participant", "actor"} | ALL,
    ),
    "change versions": (
        lambda user, scene: policies.may_change_versions(user, scene.model, scene.training),
        {"actor", "owner"} | ALL,
    ),
    "models": (
        lambda user, scene: scene.model in policies.models_of(user),
        {"participant", "other", "actor", "owner"},
    ),
    "models, of updates": (lambda user, scene: scene.update in policies.models_of(user), {"participant"}),
    "updates": (
        lambda user, scene: scene.update in policies.updates_readable_by(user, scene.training),
        {"participant", "actor"} | ALL,
    ),
    "updates passed on": (
        lambda user, scene: scene.passed in policies.updates_readable_by(user, scene.training),
        {"participant", "other", "actor"} | ALL,
    ),
    "create accounts": (lambda user, scene: policies.may_create_accounts(user), ALL),
    "manage account": (lambda user, scene: policies.may_manage_account(user, scene.people["outsider"]), ALL),
    "manage superuser": (
        lambda user, scene: policies.may_manage_account(user, scene.people["superuser"]),
        {"superuser"},
    ),
    "delete account": (
        lambda user, scene: policies.may_delete_account(user, scene.people["outsider"]),
        {"outsider"} | ALL,
    ),
    "set password": (lambda user, scene: policies.may_set_password(user, scene.people["outsider"]), ALL),
    "set password of staff": (
        lambda user, scene: policies.may_set_password(user, scene.people["staff"]),
        {"superuser"},
    ),
    "set password of superuser": (
        lambda user, scene: policies.may_set_password(user, scene.people["superuser"]),
        {"superuser"},
    ),
    "link identities": (lambda user, scene: policies.may_link_identities(user), {"superuser"}),
    "invite": (lambda user, scene: policies.may_invite(user), ALL),
    "withdraw invitations": (lambda user, scene: policies.may_withdraw_invitations(user), ALL),
    "give privileges": (lambda user, scene: policies.may_give_privileges(user), {"superuser"}),
    "hold tokens": (lambda user, scene: policies.may_hold_tokens(user), {"superuser"}),
    "retry deliveries": (lambda user, scene: policies.may_retry_deliveries(user), ALL),
    "read deliveries": (lambda user, scene: policies.may_read_deliveries(user, scene.training), {"actor"} | ALL),
    "see contacts": (lambda user, scene: policies.may_see_contacts(user, scene.people["outsider"]), set(PEOPLE)),
    "delete metrics": (lambda user, scene: policies.may_delete_metrics(user), ALL),
    "list groups": (lambda user, scene: policies.may_list_groups(user), ALL),
    "read group": (lambda user, scene: policies.may_read_group(user, scene.group), {"other"} | ALL),
    "change group": (lambda user, scene: policies.may_change_group(user, scene.group), {"other"} | ALL),
    "privileged": (lambda user, scene: policies.is_privileged(scene.group), set()),
}
ONE_PERMISSION: dict[str, tuple[Question, set[str]]] = {
    "read training": (TABLE["read training"][0], {"view_training", "change_training"}),
    "compare participants": (TABLE["compare participants"][0], {"view_training", "change_training"}),
    "steer training": (TABLE["steer training"][0], {"change_training"}),
    "delete training": (TABLE["delete training"][0], {"delete_training"}),
    "read model": (TABLE["read model"][0], {"view_globalmodel", "change_globalmodel"}),
    "read update": (TABLE["read update"][0], {"view_localmodel", "change_localmodel"}),
    "updates": (TABLE["updates"][0], {"view_localmodel", "change_localmodel"}),
    "read metrics": (TABLE["read metrics"][0], {"view_metric", "change_metric"}),
    "report metrics": (TABLE["report metrics"][0], {"add_metric"}),
    "edit model": (TABLE["edit model"][0], {"change_globalmodel"}),
    "delete model": (TABLE["delete model"][0], set()),  # its training goes with it: see below
    "delete update": (TABLE["delete update"][0], {"delete_localmodel"}),
    "change versions": (TABLE["change versions"][0], {"change_modelversion"}),
    "create accounts": (TABLE["create accounts"][0], {"add_user"}),
    "manage account": (TABLE["manage account"][0], {"change_user"}),
    "delete account": (
        lambda user, scene: policies.may_manage_account(user, scene.people["outsider"], "delete"),
        {"delete_user"},
    ),
    "set password": (TABLE["set password"][0], {"change_user"}),
    "invite": (TABLE["invite"][0], {"add_invitation"}),
    "withdraw invitations": (TABLE["withdraw invitations"][0], {"delete_invitation"}),
    "retry deliveries": (TABLE["retry deliveries"][0], {"change_delivery"}),
    "read deliveries": (TABLE["read deliveries"][0], {"view_delivery", "change_delivery"}),
    "delete metrics": (TABLE["delete metrics"][0], {"delete_metric"}),
    "list groups": (TABLE["list groups"][0], {"view_group", "change_group"}),
    "read group": (TABLE["read group"][0], {"view_group", "change_group"}),
    "change group": (TABLE["change group"][0], {"change_group"}),
    "delete group": (
        lambda user, scene: policies.may_change_group(user, scene.group, "delete"),
        {"delete_group"},
    ),
}
"""For staff with a single permission: which of all permissions allow it."""
