"""FedAdam's state goes from version to version of one training, and no further."""

from __future__ import annotations

from typing import Any

import pytest

from fl_server_core.models import EventKind, VersionFile
from fl_server_core.models.model_version import OPTIMIZER_STATE
from fl_server_core.services.trainings import create_training, delete_training, resume_training
from fl_server_core.services.versions import restore_version
from tests.builders.files import flat, linear, noisy
from tests.builders.rounds import claim_round, set_claim_attempts
from tests.builders.world import World

pytestmark = pytest.mark.django_db

ROUNDS = 3


def adam(rounds: int = ROUNDS, **fields: Any) -> World:
    options = {"skip_model_tests": True, "aggregation": {"lr": 0.1}}
    values = {"aggregation_method": "FedAdam", "target_num_updates": rounds, "options": options, **fields}
    return World(2, **values).start()


def send_updates(world: World, number: int) -> None:
    for who in range(2):
        world.update(who, noisy(linear(0.5), 10 * number + who), size=who + 1)


def run(world: World, rounds: int = ROUNDS) -> World:
    for number in range(rounds):
        send_updates(world, number)
        world.advance()
    assert world.history().count(EventKind.AGGREGATED) == rounds
    return world


def digest(world: World) -> str:
    assert world.model.current_version is not None
    return world.model.current_version.digest


def fail_and_resume(world: World) -> None:
    claim_round(world.training)
    set_claim_attempts(world.training)
    world.let_the_lease_run_out().advance()
    assert world.state == ("E", "update")
    resume_training(training_id=world.training.pk, user=world.actor)


def test_a_training_that_failed_and_was_resumed_ends_like_one_that_did_not_bit_by_bit() -> None:
    straight = run(adam())
    resumed = adam(like=straight)
    for number in range(ROUNDS):
        send_updates(resumed, number)
        if number > 0:
            fail_and_resume(resumed)
        resumed.advance()
    assert (straight.now.state, resumed.now.state) == ("C", "C")
    assert resumed.history().count(EventKind.RESUMED) == ROUNDS - 1
    assert digest(resumed) == digest(straight)


def test_a_training_that_lost_its_state_ends_elsewhere() -> None:
    straight = run(adam())
    other = run(adam(like=straight), ROUNDS - 1)
    VersionFile.objects.filter(version__model=other.model, name=OPTIMIZER_STATE).delete()
    send_updates(other, ROUNDS - 1)
    other.advance()
    assert digest(other) != digest(straight)


def test_a_restored_version_goes_on_with_the_state_that_it_had() -> None:
    straight = run(adam())
    other = run(adam(like=straight), ROUNDS - 1)
    other.remove(0, 1)  # nobody is left: it fails
    assert other.state == ("E", "update")
    restore_version(model_id=other.training.model_id, number=1, user=other.actor)
    restore_version(model_id=other.training.model_id, number=2, user=other.actor)
    other.training.participants.set(other.people)
    resume_training(training_id=other.training.pk, user=other.actor)
    send_updates(other, ROUNDS - 1)
    other.advance()
    assert digest(other) == digest(straight)


@pytest.mark.parametrize("is_copy", [True, False], ids=["of a copy", "after the first was deleted"])
def test_a_later_training_of_the_same_weights_starts_afresh(is_copy: bool) -> None:
    first = run(adam())
    fresh = adam(1, like=first, module=first.model.get_torch_model())
    send_updates(fresh, 0)
    fresh.advance()
    if not is_copy:
        delete_training(training_id=first.training.pk, user=first.actor)
    later = adam(1, like=first)
    later.training = create_training(
        actor=first.actor,
        model_id=first.training.model_id,
        participant_ids=[person.pk for person in first.people],
        target_num_updates=1,
        metric_names=[],
        aggregation_method="FedAdam",
        options=first.training.options,
    )
    assert (later.training.model_id != first.training.model_id) is is_copy
    later.start()
    send_updates(later, 0)
    later.advance()
    assert flat(later.model.get_torch_model()).tolist() == flat(fresh.model.get_torch_model()).tolist()
