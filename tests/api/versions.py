"""Trainings of the people of the API tests, and what is said of their models' versions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from fl_server_core.models import GlobalModel
from tests.api.conftest import People, Person
from tests.builders.rows import make_user
from tests.builders.world import World


def world_of(people: People, participants: int = 1, **training: Any) -> World:
    """A training of the actor's, running; the last of its participants is the participant. By default, no tests."""
    others = sorted((make_user() for _ in range(participants - 1)), key=lambda person: person.pk)
    like = SimpleNamespace(actor=people.actor.user, people=[*others, people.participant.user])
    values = {"target_num_updates": 50, "options": {"skip_model_tests": True}, **training}
    return World(like=cast("World", like), **values).start()


def close_a_round(world: World, value: float) -> None:
    """Everybody sends an update of this value, and a worker averages them."""
    for who in range(len(world.people)):
        world.update(who, value)
    world.advance()


def path_of(model: GlobalModel, *more: object) -> str:
    return "/".join(["/api/models", str(model.pk), "versions", *map(str, more), ""])


def versions(person: Person, model: GlobalModel) -> list[dict[str, Any]]:
    """What a person is told of a model's versions."""
    answer = person.client.get(path_of(model))
    assert answer.status_code == 200
    rows: list[dict[str, Any]] = answer.json()
    return rows
