"""Versions with a name or a pin, and those that give up their files."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from fl_server_core.models import GlobalModel, Training
from tests.api.conftest import People
from tests.api.versions import close_a_round, path_of, versions, world_of
from tests.builders.storage import body_of, stored_files
from tests.builders.world import World

FORBIDDEN = {"detail": "You are neither the owner of the model nor the actor of the corresponding training."}


def available(people: People, world: World) -> list[int]:
    """The versions whose files are still kept."""
    return [row["version"] for row in versions(people.actor, world.model) if row["available"]]


def test_a_version_is_named_and_pinned(people: People, ten: GlobalModel, training: Training) -> None:
    answer = people.actor.client.patch(path_of(ten, 3), {"name": "  best so far "}, format="json")
    assert (answer.status_code, answer.json()) == (200, {"detail": "Version changed!"})
    people.staff.client.patch(path_of(ten, 3), {"pinned": True}, format="json")
    row = versions(people.participant, ten)[3]
    assert (row["name"], row["pinned"]) == ("best so far", True)
    people.actor.client.patch(path_of(ten, 3), {"name": "", "pinned": False}, format="json")
    row = versions(people.participant, ten)[3]
    assert (row["name"], row["pinned"]) == ("", False)
    for refused in (people.participant, people.outsider):
        answer = refused.client.patch(path_of(ten, 3), {"pinned": True}, format="json")
        assert (answer.status_code, answer.json()) == (403, FORBIDDEN)
    assert people.nobody.patch(path_of(ten, 3), {}, format="json").status_code == 401


def test_what_cannot_be_named_is_refused(people: People, ten: GlobalModel) -> None:
    client = people.actor.client
    wrong: list[dict[str, Any]] = [
        {"name": "x" * 257},
        {"name": "\0"},
        {"name": None},
        {"name": 1},
        {"name": "two\nlines"},
        {"name": "two\u2028lines"},
        {"name": "\x1b[2J"},
        {"pinned": "maybe"},
        {"number": 4},
    ]
    for body in wrong:
        answer = client.patch(path_of(ten, 3), body, format="json")
        assert (answer.status_code, list(answer.json())) == (400, list(body)), body
    nothing = client.patch(path_of(ten, 3), {}, format="json")
    sentence = "Nothing to change: give a name, or say whether the version is pinned."
    assert (nothing.status_code, nothing.json()) == (400, {"detail": sentence})
    assert people.outsider.client.patch(path_of(ten, 3), {}, format="json").status_code == 403
    assert client.patch(path_of(ten, 10), {"name": "x"}, format="json").status_code == 400
    ten.versions.filter(number=4).update(weights_file="")
    assert client.patch(path_of(ten, 4), {"pinned": True}, format="json").status_code == 410


@pytest.mark.django_db(transaction=True)
def test_old_versions_give_up_their_files_but_for_the_first_the_named_and_the_pinned(people: People) -> None:
    before = stored_files()
    world = world_of(people, options={"skip_model_tests": True, "keep_versions": 2})
    for number in range(1, 4):
        close_a_round(world, float(number))
        if number == 1:
            people.actor.client.patch(path_of(world.model, 1), {"name": "early"}, format="json")
        if number == 2:
            people.actor.client.patch(path_of(world.model, 2), {"pinned": True}, format="json")
    for number in range(4, 9):
        close_a_round(world, float(number))
    assert available(people, world) == [0, 1, 2, 7, 8]
    assert len(stored_files() - before) == 5
    client = people.actor.client
    gone = client.get(f"/api/models/{world.model.pk}/?version=5")
    assert (gone.status_code, gone.json()) == (
        410,
        {"detail": f"Version 5 of model {world.model.pk} is no longer kept."},
    )
    for number in (1, 2, 7, 8):
        assert body_of(client.get(f"/api/models/{world.model.pk}/?version={number}"))
    row = versions(people.actor, world.model)[5]
    assert (row["available"], len(row["sha256"]), row["size"] > 0) == (False, 64, True)
    client.patch(path_of(world.model, 1), {"name": ""}, format="json")  # not kept any more, from the next round on
    close_a_round(world, 9.0)
    assert available(people, world) == [0, 2, 8, 9]


@override_settings(FL_KEEP_VERSIONS=3)
def test_without_the_option_the_setting_says_how_many_are_kept(people: People) -> None:
    world = world_of(people)
    for number in range(1, 7):
        close_a_round(world, float(number))
    assert available(people, world) == [0, 4, 5, 6]


@pytest.mark.django_db(transaction=True)
def test_a_restored_versions_file_stays_when_the_version_itself_is_given_up(people: People) -> None:
    world = world_of(people, options={"skip_model_tests": True, "keep_versions": 2})
    for number in (1.0, 2.0):
        close_a_round(world, number)
    client = people.actor.client
    client.post(f"/api/trainings/{world.training.pk}/stop/")
    assert client.post(path_of(world.model, 1, "restore")).json()["version"] == 3
    Training.objects.filter(pk=world.training.pk).update(state="I")
    world.start()
    close_a_round(world, 9.0)
    assert available(people, world) == [0, 3, 4]
    assert body_of(client.get(f"/api/models/{world.model.pk}/?version=3"))


@pytest.mark.parametrize("value", [0, 1, -3, "5", 2.5, True])
def test_keep_versions_is_a_whole_number_of_at_least_two(people: People, model: GlobalModel, value: Any) -> None:
    wish = {
        "model_id": str(model.pk),
        "target_num_updates": 1,
        "metric_names": [],
        "aggregation_method": "FedAvg",
        "options": {"keep_versions": value},
    }
    answer = people.actor.client.post("/api/trainings/", wish, format="json")
    sentence = "keep_versions must be a whole number from 2 to 1000000."
    assert (answer.status_code, answer.json()) == (400, {"options": [sentence]})
