"""The docs' example of a kind of round, in a whole training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fl_server_core.registry import round_kinds
from tests.builders.clients import client_of
from tests.builders.files import pickled_linear, uploaded
from tests.builders.world import World
from tests.documents import execute, python_blocks

(EXAMPLE,) = [block for block in python_blocks("adding-a-method.md") if "@round_kinds.register" in block]


@pytest.fixture
def world(db: None) -> Iterator[World]:
    """Two participants, in the round of labels."""
    execute(EXAMPLE)
    world = World(2, target_num_updates=1, options={"ask_for_labels": True}).start()
    for person in world.people:
        form = {"round": 0, "sample_size": 1, "model_file": uploaded(pickled_linear(2.0))}
        client_of(person).post(f"/api/models/{world.training.model_id}/", form, format="multipart")
    world.advance()
    yield world
    del round_kinds["labels"]


def send(world: World, who: int, content: object) -> Any:
    body = {"round": 1, "content": content}
    return client_of(world.people[who]).post(f"/api/trainings/{world.training.pk}/rounds/labels/", body, format="json")


def test_the_example_of_a_kind_of_round_works(world: World) -> None:
    assert world.state == ("O", "labels")
    for who, mean in enumerate((1, 0.5)):
        assert send(world, who, {"mean": mean}).status_code == 201
    world.advance()
    (row,) = world.training.rounds.filter(kind="labels")
    assert (row.figures["mean"], row.outcome) == (0.75, "closed")


@pytest.mark.parametrize("content", [{"mean": "1"}, {"mean": True}, {"mean": 10**400}, {"mean": None}, {}, [1], "mean"])
def test_the_example_refuses_what_it_could_not_compute_with(world: World, content: object) -> None:
    answer = send(world, 0, content)
    assert (answer.status_code, answer.json()) == (400, ['content must be {"mean": a number from -1e9 to 1e9}.'])
