"""Who may do what, as one table: a row for each question, a column for each kind of person."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission
from pytest_django import Settings

from fl_server_core import policies
from fl_server_core.models import MeanModel, Training, User
from tests.builders.rows import (
    make_mean_model,
    make_model,
    make_update,
    make_user,
)
from tests.core.policy_table import ALL, ONE_PERMISSION, TABLE, Scene, make_scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


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
