"""FedDC: models that are passed on from participant to participant, and averaged every few rounds."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import torch

from fl_server_ai.rounds.passing_on import Handed, PassingOnRound
from fl_server_core.exceptions import EntityNotFound, InvalidRequest, InvalidValue, WrongRound
from fl_server_core.models import Delivery, EventKind, LocalModel
from fl_server_core.rounds.claims import Claim
from fl_server_core.services.accounts import delete_user
from fl_server_core.services.files import NewFiles
from fl_server_core.services.models import delete_model
from fl_server_core.services.participants import add_participants
from fl_server_core.services.trainings import create_training, delete_training, start_training, stop_training
from tests.builders.clients import make_operator
from tests.builders.files import flat, linear, noisy
from tests.builders.rounds import passed_on
from tests.builders.storage import file_name_of, stored_files
from tests.builders.world import World

pytestmark = pytest.mark.django_db
DAISY = {"aggregation_method": "FedDC", "options": {"daisy_chain_period": 3}}


def test_daisy_chaining_agrees_with_a_simulation_by_the_recorded_permutations() -> None:
    world = World(4, target_num_updates=2, **DAISY).start()  # type: ignore[arg-type]
    sizes = [3, 5, 7, 11]
    people = [person.pk for person in world.people]
    held = dict.fromkeys(people, linear(0.0))
    for round in range(6):
        for who, person in enumerate(people):
            held[person] = noisy(held[person], 100 * round + who)
            # They train what the server hands out, the simulation what it holds: the two must be the same.
            world.update(who, noisy(world.handed_out(who), 100 * round + who), size=sizes[who])
        world.advance()
        if round % 3 == 2:
            mean = sum(size * flat(held[person]) for size, person in zip(sizes, people, strict=True)) / sum(sizes)
            shared = linear(0.0)
            torch.nn.utils.vector_to_parameters(torch.as_tensor(mean), shared.parameters())
            held = dict.fromkeys(people, shared)
        else:
            event = world.events(EventKind.PASSED_ON)[-1]
            assert sorted(source for source, _target in event.figures["permutation"]) == sorted(map(str, people))
            assert sorted(target for _source, target in event.figures["permutation"]) == sorted(map(str, people))
            held = {UUID(target): held[UUID(source)] for source, target in event.figures["permutation"]}
    assert torch.allclose(flat(world.model.get_torch_model()), flat(held[people[0]]), atol=1e-6)
    assert (world.round, *world.state) == (6, "O", "test")
    assert not LocalModel.objects.exists()


def test_what_is_passed_on_is_readable_by_its_receiver_and_holds_the_sender_s_values() -> None:
    world = World(3, **DAISY).start()  # type: ignore[arg-type]
    for who in range(3):
        world.update(who, float(who))
    world.advance()
    event = world.event(EventKind.PASSED_ON)
    values = {str(person.pk): float(who) for who, person in enumerate(world.people)}
    for source, target in event.figures["permutation"]:
        passed = LocalModel.objects.get(passed_to=UUID(target))
        assert float(flat(passed.get_torch_model())[0]) == values[source]
        start = world.sent("UPDATE_ROUND_START")[-3:]
        assert str(passed.pk) in {delivery.body["global_model_uuid"] for delivery in start}


def test_an_upload_to_another_id_than_the_given_one_is_refused() -> None:
    world = World(2, **DAISY).start()  # type: ignore[arg-type]
    for who in range(2):
        world.update(who, 1.0)
    world.advance()
    others = LocalModel.objects.get(passed_to=world.people[1])
    for wrong in (world.training.model_id, others.pk):
        with pytest.raises(InvalidValue, match="Upload to that model"):
            world.update(0, 2.0, target_id=wrong)


def test_a_retry_of_an_update_to_a_passed_model_that_is_gone_is_taken_for_done() -> None:
    world = World(1, **DAISY).start()  # type: ignore[arg-type]
    world.update(0, 1.0)
    world.advance()
    given = world.given(world.people[0])
    world.update(0, 2.0, target_id=given)
    world.advance()
    assert not LocalModel.objects.filter(pk=str(given)).exists()
    world.update(0, 2.0, target_id=given, number=1)
    assert world.round == 2


def test_a_straggler_whose_passed_model_is_gone_hears_of_the_present_round() -> None:
    options = {"daisy_chain_period": 2, "round_deadline": 60, "min_updates": 1}
    world = World(2, aggregation_method="FedDC", options=options).start()
    for who in range(2):
        world.update(who, 1.0)
    world.advance()
    given = world.given(world.people[1])
    world.update(0, 2.0)
    world.pass_the_deadline()
    assert world.round == 2
    with pytest.raises(WrongRound) as refusal:
        world.update(1, 3.0, target_id=given, number=1)
    assert refusal.value.messages == [
        f"Training with ID {world.training.pk} is not currently in round 1",
        "The current round is 2.",
    ]
    with pytest.raises(EntityNotFound):  # it was not given to this one
        world.update(0, 3.0, target_id=given, number=1)


def test_who_joins_between_two_averagings_starts_from_the_global_model() -> None:
    world = World(2, **DAISY).start()  # type: ignore[arg-type]
    for who in range(2):
        world.update(who, 1.0)
    world.advance()
    late = world.actor
    add_participants(training_id=world.training.pk, user=world.actor, user_ids=[late.pk])
    start = [delivery for delivery in world.sent("UPDATE_ROUND_START") if delivery.receiver == late]
    assert start[0].body["global_model_uuid"] == str(world.training.model_id)


def test_the_chain_of_a_removed_participant_ends() -> None:
    world = World(3, **DAISY).start()  # type: ignore[arg-type]
    for who in range(3):
        world.update(who, 1.0)
    world.advance()
    world.remove(0)
    assert len(passed_on()) == 2
    for who in (1, 2):
        world.update(who, 2.0)
    world.advance()
    assert len(passed_on()) == 2


def test_no_file_is_left_of_a_model_whose_receiver_leaves_while_it_is_handed_on(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    world = World(3, **DAISY).start()  # type: ignore[arg-type]
    before = stored_files()
    for who in range(3):
        world.update(who, float(who))
    compute = PassingOnRound.compute

    def leave_after(kind: PassingOnRound, claim: Claim, files: NewFiles) -> Handed:
        result = compute(kind, claim, files)
        world.remove(2)
        return result

    monkeypatch.setattr(PassingOnRound, "compute", leave_after)
    with django_capture_on_commit_callbacks(execute=True):
        world.advance()
    assert len(passed_on()) == 2
    assert stored_files() - before == {file_name_of(model) for model in LocalModel.objects.all()}


def test_a_silent_participant_s_model_goes_on_as_it_was() -> None:
    options = {"daisy_chain_period": 3, "round_deadline": 60, "min_updates": 1}
    world = World(2, aggregation_method="FedDC", options=options).start()
    world.update(0, 4.0)
    world.update(1, 8.0)
    world.advance()
    before = {float(flat(row.get_torch_model())[0]): row.passed_to for row in LocalModel.objects.all()}
    silent = before[8.0]
    assert silent is not None
    talker = next(who for who, person in enumerate(world.people) if person != silent)
    world.update(talker, 5.0)
    world.pass_the_deadline()
    values = sorted(float(flat(row.get_torch_model())[0]) for row in passed_on())
    assert values == [5.0, 8.0]
    # Silent in the round that is averaged, too: the model counts as it was given.
    kept = float(flat(world.handed_out(1))[0])
    world.update(0, 2.0)
    world.pass_the_deadline()
    assert world.weight == pytest.approx((2.0 + kept) / 2)


def test_the_permutation_is_drawn_anew_in_each_round() -> None:
    world = World(3, aggregation_method="FedDC", options={"daisy_chain_period": 100}).start()
    places = {str(person.pk): who for who, person in enumerate(world.people)}
    for round in range(60):
        for who in range(3):
            world.update(who, float(round))
        world.advance()
    seen = {
        tuple(places[target] for _source, target in event.figures["permutation"])
        for event in world.events(EventKind.PASSED_ON)
    }
    # Of six equally likely orders, at most three in 60 rounds would come once in 10^17 runs.
    assert len(seen) > 3


@pytest.mark.parametrize("end", [stop_training, delete_training])
def test_a_training_that_ends_between_two_averagings_leaves_nothing_to_a_later_one(end: Callable[..., None]) -> None:
    world = World(2, **DAISY).start()  # type: ignore[arg-type]
    for who in range(2):
        world.update(who, 1.0)
    world.advance()
    end(training_id=world.training.pk, user=world.actor)
    assert LocalModel.objects.filter(base_model=world.training.model_id).count() == 2
    assert passed_on() == []
    if end is delete_training:
        later = create_training(
            actor=world.actor,
            model_id=world.training.model_id,
            target_num_updates=1,
            metric_names=[],
            participant_ids=[person.pk for person in world.people],
            **DAISY,  # type: ignore[arg-type]
        )
        start_training(training_id=later.pk, user=world.actor)
        started = Delivery.objects.filter(training=later, notification_type="UPDATE_ROUND_START")
        assert {delivery.body["global_model_uuid"] for delivery in started} == {str(world.training.model_id)}


def test_what_a_deleted_account_has_passed_on_stays_with_its_receiver() -> None:
    world = World(3, aggregation_method="FedDC", options={"daisy_chain_period": 100}).start()
    leaver, receiver = world.people[0], world.people[0]
    while receiver == leaver:  # until the permutation gives the leaver's model to somebody else
        for who in range(3):
            world.update(who, float(who + 10))
        world.advance()
        passed = LocalModel.objects.get(owner=leaver)
        assert passed.passed_to is not None
        receiver = passed.passed_to
    delete_user(user=leaver, author=make_operator())
    who = world.people.index(receiver)
    assert float(flat(world.handed_out(who))[0]) == 10.0
    before = world.round
    for who in (1, 2):
        world.update(who, float(who))
    world.advance()
    assert world.round == before + 1


def test_a_model_that_was_passed_on_is_deleted_after_the_round_only() -> None:
    world = World(2, **DAISY).start()  # type: ignore[arg-type]
    for who in range(2):
        world.update(who, 1.0)
    world.advance()
    passed = LocalModel.objects.first()
    assert passed is not None
    with pytest.raises(InvalidRequest, match="trained on"):
        delete_model(model_id=passed.pk, user=world.actor)
    stop_training(training_id=world.training.pk, user=world.actor)
    delete_model(model_id=passed.pk, user=world.actor)
    assert LocalModel.objects.count() == 1
