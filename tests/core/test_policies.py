"""Who may do what, as one table: a row for each question, a column for each kind of person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission
from pytest_django import Settings

from fl_server_core import policies
from fl_server_core.models import AlertRule, GlobalModel, LocalModel, MeanModel, Metric, Training, User
from tests.builders.clients import make_staff
from tests.builders.rows import (
    make_alert_rule,
    make_mean_model,
    make_metric,
    make_model,
    make_training,
    make_update,
    make_user,
)

pytestmark = pytest.mark.django_db

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


@pytest.fixture
def scene() -> Scene:
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


@pytest.mark.parametrize("question", TABLE)
def test_those_and_no_others_may(question: str, scene: Scene) -> None:
    ask, expected = TABLE[question]
    assert {name for name, user in scene.people.items() if ask(user, scene)} == expected


def test_where_contacts_are_not_shown_users_see_their_own_and_staff_all(scene: Scene, settings: Settings) -> None:
    settings.FL_SHOW_CONTACTS = False
    account = scene.people["outsider"]
    seeing = {name for name, user in scene.people.items() if policies.may_see_contacts(user, account)}
    assert seeing == {"outsider"} | ALL


def test_every_policy_is_in_the_table() -> None:
    asked = {name for ask, _who in TABLE.values() for name in ask.__code__.co_names}
    assert {
        name
        for name, item in vars(policies).items()
        if getattr(item, "__module__", "") == policies.__name__ and not name.startswith("_")
    } <= asked


def test_of_all_permissions_only_these_let_staff_do_it(scene: Scene) -> None:
    allowing: dict[str, set[str]] = {question: set() for question in ONE_PERMISSION}
    for permission in Permission.objects.all():
        scene.people["staff"].user_permissions.set([permission])
        staff = User.objects.get(username="staff")  # read anew: a user remembers its permissions
        for question, (ask, _expected) in ONE_PERMISSION.items():
            if ask(staff, scene):
                allowing[question].add(permission.codename)
    assert allowing == {question: expected for question, (_ask, expected) in ONE_PERMISSION.items()}


def test_a_permission_is_worth_nothing_to_who_is_not_on_the_staff_or_not_active(scene: Scene) -> None:
    clerk = scene.people["clerk"]
    for flags in ({"is_staff": False}, {"is_active": False}):
        User.objects.filter(pk=clerk.pk).update(**{"is_staff": True, "is_active": True, **flags})
        assert not policies.may_steer_training(User.objects.get(pk=clerk.pk), scene.training)


def test_staff_delete_a_model_with_a_training_if_they_may_delete_both(scene: Scene) -> None:
    staff = scene.people["staff"]
    for codenames in (["delete_globalmodel"], ["delete_globalmodel", "delete_training"]):
        staff.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        now = User.objects.get(pk=staff.pk)
        assert policies.may_delete_model(now, scene.model, None)
        assert policies.may_delete_model(now, scene.model, scene.training) == (len(codenames) == 2)


def test_where_actors_are_flagged_the_flag_counts(scene: Scene, settings: Any) -> None:
    settings.FL_ACTORS = "flagged"
    flagged = make_user(actor=True)
    assert policies.acts(flagged)
    assert not policies.may_call_itself_actor()
    for may in (policies.may_create_model, policies.may_create_training):
        assert may(flagged)
        assert {name for name, user in scene.people.items() if may(user)} == ALL


@pytest.mark.parametrize("privilege", ["permission", "staff", "superuser"])
def test_members_do_not_change_a_group_with_privileges(scene: Scene, privilege: str) -> None:
    if privilege == "permission":
        scene.group.permissions.add(Permission.objects.all()[0])
    else:
        scene.group.user_set.add(scene.people[privilege])
    assert policies.is_privileged(scene.group)
    for action in ("change", "delete"):
        allowed = {name for name, user in scene.people.items() if policies.may_change_group(user, scene.group, action)}
        assert allowed == ALL
    assert policies.may_read_group(scene.people["other"], scene.group)


def test_nobody_who_is_not_signed_in_has_a_permission() -> None:
    assert not policies.permits(AnonymousUser(), "view", Training)  # type: ignore[arg-type]


def test_a_mean_s_owner_reads_its_members_and_other_members_owners_do_not(scene: Scene) -> None:
    outsider = scene.people["outsider"]
    mean = make_mean_model(outsider, [scene.model])
    assert policies.may_read_model(outsider, scene.model)
    assert not policies.may_read_model(outsider, scene.update)
    assert not policies.may_read_model(scene.people["owner"], mean)
    MeanModel.objects.all().delete()
    assert not policies.may_read_model(outsider, scene.model)


def test_who_takes_part_in_two_ways_is_counted_once(scene: Scene) -> None:
    actor = scene.people["actor"]
    scene.training.participants.add(actor)
    assert policies.trainings_of(actor).count() == 1
    assert policies.models_of(actor).count() == 1


def test_updates_of_another_model_are_another_training_s(scene: Scene) -> None:
    owner = scene.people["owner"]
    other = make_update(make_model(owner), scene.people["participant"])
    assert other not in policies.updates_readable_by(scene.people["participant"], scene.training)
    assert not policies.may_read_model(scene.people["actor"], other)
