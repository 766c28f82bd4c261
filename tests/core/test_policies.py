"""Who may do what, as one table: a row for each question, a column for each kind of person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import AnonymousUser, Group

from fl_server_core import policies
from fl_server_core.models import GlobalModel, LocalModel, MeanModel, Training, User
from tests.builders.rows import make_mean_model, make_model, make_training, make_update, make_user

pytestmark = pytest.mark.django_db

PEOPLE = ("outsider", "other", "participant", "actor", "owner", "staff", "superuser")
"""participant: of the update; other: a participant that the update was passed to. superuser: not on the staff."""


@dataclass
class Scene:
    """A training whose model belongs to somebody else than its actor, with one participant's update."""

    people: dict[str, User]
    model: GlobalModel
    training: Training
    update: LocalModel
    passed: LocalModel
    group: Group


@pytest.fixture
def scene() -> Scene:
    people = {name: make_user(name) for name in PEOPLE[:-2]}
    people["staff"] = make_user("staff", is_staff=True)
    people["superuser"] = make_user("superuser", is_superuser=True)
    model = make_model(people["owner"])
    training = make_training(people["actor"], [people["participant"], people["other"]], model)
    update = make_update(model, people["participant"])
    passed = make_update(model, people["participant"], passed_to=people["other"])
    group = Group.objects.create(name="ward")
    people["other"].groups.add(group)
    return Scene(people, model, training, update, passed, group)


Question = Callable[[User, Scene], bool]
TABLE: dict[str, tuple[Question, set[str]]] = {
    "operator": (lambda user, scene: policies.is_operator(user), {"staff"}),
    "participant": (lambda user, scene: policies.is_participant(user, scene.training), {"participant", "other"}),
    "read training": (
        lambda user, scene: policies.may_read_training(user, scene.training),
        {"participant", "other", "actor", "staff"},
    ),
    "steer training": (lambda user, scene: policies.may_steer_training(user, scene.training), {"actor", "staff"}),
    "trainings": (
        lambda user, scene: scene.training in policies.trainings_of(user),
        {"participant", "other", "actor"},
    ),
    "own": (lambda user, scene: policies.owns(user, scene.model), {"owner"}),
    "read model": (
        lambda user, scene: policies.may_read_model(user, scene.model),
        {"participant", "other", "actor", "owner", "staff"},
    ),
    "read update": (
        lambda user, scene: policies.may_read_model(user, scene.update),
        {"participant", "actor", "staff"},
    ),
    "read what was passed on": (
        lambda user, scene: policies.may_read_model(user, scene.passed),
        {"participant", "other", "actor", "staff"},
    ),
    "manage model": (
        lambda user, scene: policies.may_manage_model(user, scene.model, scene.training),
        {"actor", "owner", "staff"},
    ),
    "manage model without training": (
        lambda user, scene: policies.may_manage_model(user, scene.model, None),
        {"owner", "staff"},
    ),
    "manage update": (
        lambda user, scene: policies.may_manage_model(user, scene.update, scene.training),
        {"participant", "actor", "staff"},
    ),
    "models": (
        lambda user, scene: scene.model in policies.models_of(user),
        {"participant", "other", "actor", "owner"},
    ),
    "models, of updates": (lambda user, scene: scene.update in policies.models_of(user), {"participant"}),
    "updates": (
        lambda user, scene: scene.update in policies.updates_readable_by(user, scene.training),
        {"participant", "actor", "staff"},
    ),
    "updates passed on": (
        lambda user, scene: scene.passed in policies.updates_readable_by(user, scene.training),
        {"participant", "other", "actor", "staff"},
    ),
    "manage account": (
        lambda user, scene: policies.may_manage_account(user, scene.people["outsider"]),
        {"staff", "superuser"},
    ),
    "manage superuser": (
        lambda user, scene: policies.may_manage_account(user, scene.people["superuser"]),
        {"superuser"},
    ),
    "delete account": (
        lambda user, scene: policies.may_delete_account(user, scene.people["outsider"]),
        {"outsider", "staff", "superuser"},
    ),
    "set password": (
        lambda user, scene: policies.may_set_password(user, scene.people["outsider"]),
        {"staff", "superuser"},
    ),
    "set password of staff": (
        lambda user, scene: policies.may_set_password(user, scene.people["staff"]),
        {"superuser"},
    ),
    "set password of superuser": (
        lambda user, scene: policies.may_set_password(user, scene.people["superuser"]),
        {"superuser"},
    ),
    "link identities": (lambda user, scene: policies.may_link_identities(user), {"superuser"}),
    "invite": (lambda user, scene: policies.may_invite(user), {"superuser"}),
    "withdraw invitations": (lambda user, scene: policies.may_withdraw_invitations(user), {"superuser"}),
    "give privileges": (lambda user, scene: policies.may_give_privileges(user), {"superuser"}),
    "hold tokens": (lambda user, scene: policies.may_hold_tokens(user), {"superuser"}),
    "retry deliveries": (lambda user, scene: policies.may_retry_deliveries(user), {"staff"}),
    "delete metrics": (lambda user, scene: policies.may_delete_metrics(user), {"staff"}),
    "list groups": (lambda user, scene: policies.may_list_groups(user), {"superuser"}),
    "access group": (lambda user, scene: policies.may_access_group(user, scene.group), {"other"}),
}


@pytest.mark.parametrize("question", TABLE)
def test_those_and_no_others_may(question: str, scene: Scene) -> None:
    ask, expected = TABLE[question]
    assert {name for name, user in scene.people.items() if ask(user, scene)} == expected


def test_every_policy_is_in_the_table() -> None:
    asked = {name for ask, _who in TABLE.values() for name in ask.__code__.co_names}
    assert {
        name for name, item in vars(policies).items() if getattr(item, "__module__", "") == policies.__name__
    } <= asked


def test_nobody_who_is_not_signed_in_is_an_operator() -> None:
    assert not policies.is_operator(AnonymousUser())  # type: ignore[arg-type]


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
