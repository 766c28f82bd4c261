"""Restoring an earlier version of a model."""

from __future__ import annotations

import io

import pytest
import torch

from fl_server_core.models import GlobalModel, SWAGModel, Training
from tests.api.conftest import People
from tests.api.versions import close_a_round, path_of, versions, world_of
from tests.builders.files import flat, linear, noisy, scripted_linear
from tests.builders.rounds import deadline_of, event_of, submissions
from tests.builders.rows import make_update
from tests.builders.storage import body_of
from tests.builders.world import World

FORBIDDEN = {"detail": "You are neither the owner of the model nor the actor of the corresponding training."}


def test_a_restored_version_becomes_the_newest(people: People, ten: GlobalModel, training: Training) -> None:
    answer = people.actor.client.post(path_of(ten, 3, "restore"))
    assert (answer.status_code, answer.json()) == (200, {"detail": "Version restored!", "version": 10})
    rows = versions(people.actor, ten)
    assert ([row["version"] for row in rows], rows[10]["is_current"]) == (list(range(11)), True)
    assert [row["restored_from"] for row in rows] == [None] * 10 + [3]
    assert (rows[10]["sha256"], rows[9]["is_current"]) == (rows[3]["sha256"], False)
    assert body_of(people.actor.client.get(f"/api/models/{ten.pk}/")) == scripted_linear(3.0)
    ten.refresh_from_db()
    assert ten.round == 9
    event = event_of(training, "version_restored")
    assert (event.author, event.figures) == (people.actor.user, {"version": 3, "restored_as": 10})


def test_only_owner_actor_and_staff_restore(people: People, ten: GlobalModel, training: Training) -> None:
    for refused in (people.participant, people.outsider):
        answer = refused.client.post(path_of(ten, 3, "restore"))
        assert (answer.status_code, answer.json()) == (403, FORBIDDEN)
    assert people.nobody.post(path_of(ten, 3, "restore")).status_code == 401
    training.actor = people.outsider.user
    training.save()
    for number, person in enumerate((people.actor, people.outsider, people.staff), 10):
        assert person.client.post(path_of(ten, 3, "restore")).json()["version"] == number


def test_what_cannot_be_restored_is_refused_with_a_sentence(people: People, ten: GlobalModel) -> None:
    ten.versions.filter(number=4).update(weights_file="")
    client = people.actor.client
    gone, unknown = client.post(path_of(ten, 4, "restore")), client.post(path_of(ten, 10, "restore"))
    assert (gone.status_code, gone.json()) == (410, {"detail": f"Version 4 of model {ten.pk} is no longer kept."})
    assert (unknown.status_code, unknown.json()) == (400, {"detail": f"Model {ten.pk} has no version 10."})
    assert client.post(path_of(ten, 10**30, "restore")).status_code == 400
    assert client.post(path_of(ten, "x", "restore")).status_code == 404
    update = make_update(ten, people.participant.user)
    assert client.post(f"/api/models/{update.pk}/versions/0/restore/").status_code == 400
    assert len(versions(people.actor, ten)) == 10


@pytest.mark.parametrize("body", ["{", "[1]", '{"number": 3}'])
def test_a_body_has_to_be_empty(people: People, ten: GlobalModel, body: str) -> None:
    answer = people.actor.client.post(path_of(ten, 3, "restore"), body, content_type="application/json")
    assert answer.status_code == 400
    assert len(versions(people.actor, ten)) == 10
    assert (
        people.actor.client.post(path_of(ten, 3, "restore"), "{}", content_type="application/json").status_code == 200
    )


def test_a_running_training_has_to_be_stopped_first(people: People) -> None:
    world = world_of(people)
    close_a_round(world, 1.0)
    client = people.actor.client
    answer = client.post(path_of(world.model, 0, "restore"))
    assert (answer.status_code, answer.json()) == (409, {"detail": "Stop the training first."})
    assert client.post(f"/api/trainings/{world.training.pk}/stop/").status_code == 202
    assert client.post(path_of(world.model, 0, "restore")).json()["version"] == 2
    assert world.weight == 0.0


def test_in_a_failed_training_the_open_rounds_submissions_are_dropped_and_asked_for_again(people: People) -> None:
    world = world_of(
        people, 2, target_num_updates=3, options={"skip_model_tests": True, "round_deadline": 60, "min_updates": 2}
    )
    for value in (1.0, 3.0):
        close_a_round(world, value)
    world.update(0, 5.0)
    world.pass_the_deadline()
    assert (world.state, rounds_submitted(world)) == (("E", "update"), [0, 0, 1, 1, 2])
    told = len(world.sent("UPDATE_ROUND_START"))
    answer = people.actor.client.post(path_of(world.model, 1, "restore"))
    assert (answer.status_code, answer.json()["version"], world.weight) == (200, 3, 1.0)
    assert (world.round, rounds_submitted(world)) == (2, [0, 0, 1, 1])
    assert people.actor.client.post(f"/api/trainings/{world.training.pk}/resume/").status_code == 202
    assert len(world.sent("UPDATE_ROUND_START")) == told + 2
    assert deadline_of(world.training) is not None
    close_a_round(world, 7.0)
    assert (world.state[0], world.weight) == ("C", 7.0)


def test_under_feddc_a_failed_training_goes_on_from_the_restored_version(people: People) -> None:
    """Nobody is asked to train on with a model that was passed on before."""
    options = {"daisy_chain_period": 2, "skip_model_tests": True, "round_deadline": 60}
    world = world_of(people, 2, aggregation_method="FedDC", target_num_updates=2, options=options)
    for value in (1.0, 3.0, 5.0):  # passed on, averaged, passed on
        close_a_round(world, value)
    assert {world.given(person) for person in world.people} != {world.model.pk}
    world.pass_the_deadline()
    assert people.actor.client.post(path_of(world.model, 0, "restore")).status_code == 200
    assert people.actor.client.post(f"/api/trainings/{world.training.pk}/resume/").status_code == 202
    assert {world.given(person) for person in world.people} == {world.model.pk}
    close_a_round(world, 7.0)
    assert (world.state[0], world.weight) == ("C", 7.0)


def rounds_submitted(world: World) -> list[int]:
    return sorted(submission.round.number for submission in submissions(world.training))


def train_on(world: World, rounds: int, first_seed: int) -> None:
    """So many rounds, in which every participant changes what it is given in a way that can be repeated."""
    for seed in range(first_seed, first_seed + rounds):
        for who in range(len(world.people)):
            world.update(who, noisy(world.handed_out(who), seed * 10 + who), size=who + 1)
        world.advance()


def test_training_on_from_a_restored_version_gives_bitwise_what_a_new_training_from_it_gives(people: People) -> None:
    options = {"skip_model_tests": True, "keep_versions": 20}
    first = world_of(people, 3, module=noisy(linear(0.5), 1), target_num_updates=10, options=options)
    train_on(first, 10, 100)
    assert first.state[0] == "C"
    client = people.actor.client
    third = body_of(client.get(f"/api/models/{first.model.pk}/?version=3"))
    assert client.post(path_of(first.model, 3, "restore")).json()["version"] == 11

    # On the model itself, its training started anew, and from an upload of version 3's file.
    Training.objects.filter(pk=first.training.pk).update(state="I", target_num_updates=2)
    first.start()
    train_on(first, 2, 500)
    again = World(like=first, module=torch.load(io.BytesIO(third), weights_only=False), target_num_updates=2)
    Training.objects.filter(pk=again.training.pk).update(options=options)
    again.start()
    train_on(again, 2, 500)
    assert (first.state[0], first.round, again.state[0], again.round) == ("C", 12, "C", 2)
    on, new = flat(first.model.get_torch_model()), flat(again.model.get_torch_model())
    assert torch.equal(on, new)
    assert not torch.equal(on, flat(torch.load(io.BytesIO(third), weights_only=False)))


def test_a_restored_swag_version_has_its_moments_back(people: People) -> None:
    world = world_of(people, swag=True, target_num_updates=2)
    for value in (1.0, 2.0):
        close_a_round(world, value)
        world.moments(0, torch.full((8,), value), torch.full((8,), value**2))
        world.advance()
    assert world.state[0] == "C"
    assert people.actor.client.post(path_of(world.model, 1, "restore")).json()["version"] == 3
    model = SWAGModel.objects.get(pk=world.training.model_id)
    assert (model.first_moment.tolist(), model.second_moment.tolist()) == ([1.0] * 8, [1.0] * 8)
