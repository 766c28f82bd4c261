"""Whom a participant trusts: whose trainings it takes part in without being asked."""

from __future__ import annotations

from typing import Any

import pytest

from fl_server_core.models import Training
from tests.api.conftest import People

pytestmark = pytest.mark.usefixtures("consent")

UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"


def invite(people: People, training: Training, *ids: str) -> Any:
    return people.actor.client.put(f"/api/trainings/{training.pk}/clients/", {"clients": list(ids)}, format="json")


def trust(client: Any, actors: Any) -> Any:
    return client.patch("/api/users/myself/", {"trusted_actors": actors}, format="json")


@pytest.mark.parametrize("trusted", ["everyone", "the actor"])
def test_who_trusts_the_actor_takes_part_at_once(people: People, training: Training, trusted: str) -> None:
    actors = "everyone" if trusted == "everyone" else [people.actor.id]
    answer = trust(people.outsider.client, actors)
    assert (answer.status_code, answer.json()["trusted_actors"]) == (200, actors)
    assert people.outsider.client.get("/api/users/myself/").json()["trusted_actors"] == actors
    assert invite(people, training, people.outsider.id).json() == {"detail": "Users registered as participants!"}
    assert training.participants.filter(pk=people.outsider.user.pk).exists()
    assert people.outsider.client.get("/api/users/invitations/").json() == []


def test_trust_in_another_actor_does_not_count(people: People, training: Training) -> None:
    trust(people.outsider.client, [people.staff.id])
    invite(people, training, people.outsider.id)
    assert not training.participants.filter(pk=people.outsider.user.pk).exists()


@pytest.mark.parametrize("actors", [None, "nobody", 1, True, {"a": 1}, [None], [[]], ["\0"]])
def test_trusted_actors_are_a_list_of_ids_or_everyone(people: People, actors: Any) -> None:
    answer = trust(people.outsider.client, actors)
    assert (answer.status_code, list(answer.json())) == (400, ["trusted_actors"])


@pytest.mark.parametrize("actors", [[UNKNOWN], ["not-an-id"], ["twice", "twice"]])
def test_unknown_actors_and_one_twice_are_not_all_found(people: People, actors: list[str]) -> None:
    named = [people.actor.id if actor == "twice" else actor for actor in actors]
    answer = trust(people.outsider.client, named)
    assert (answer.status_code, answer.json()) == (400, {"detail": "Not all provided users were found!"})


def test_nobody_sees_whom_another_user_trusts(people: People) -> None:
    trust(people.outsider.client, "everyone")
    assert "trusted_actors" not in people.actor.client.get(f"/api/users/{people.outsider.id}/").json()
    assert all("trusted_actors" not in row for row in people.actor.client.get("/api/users/").json())
    assert trust(people.nobody, "everyone").status_code == 401
