import copy
from uuid import UUID

import pytest
import torch

from fl_server_core.exceptions import InvalidFile, InvalidRequest, InvalidValue, WrongState
from fl_server_core.models import Answer, EventKind, LocalModel, SWAGModel, TrainingEvent
from fl_server_core.services.trainings import add_participants, remove_participants
from tests.ai.trainer.test_people import pass_the_deadline
from tests.ai.trainer.world import World, linear

pytestmark = pytest.mark.django_db
DAISY = {"aggregation_method": "FedDC", "options": {"daisy_chain_period": 3}}


def flat(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in module.state_dict().values()])


def noisy(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """The module after a "training" that an observer can repeat."""
    generator = torch.Generator().manual_seed(seed)
    trained = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(0.9).add_(torch.randn(parameter.shape, generator=generator))
    return trained


def test_swag_moments_are_averaged_by_sample_size_after_each_aggregation() -> None:
    world = World(2, swag=True).start()
    world.update(0, 1.0)
    world.update(1, 1.0)
    world.advance()
    assert world.state == ("S", "swag")
    first, second = torch.arange(8.0), torch.arange(8.0) ** 2
    world.moments(0, first, second, size=1)
    world.moments(1, 5 * first, 25 * second, size=3)
    world.advance()
    assert world.state == ("O", "test")
    model = world.model
    assert isinstance(model, SWAGModel)
    assert torch.allclose(model.first_moment, first * (1 + 3 * 5) / 4)
    assert torch.allclose(model.second_moment, second * (1 + 3 * 25) / 4)
    assert not Answer.objects.exclude(first_moment_file="").exists()


def test_an_update_in_a_swag_round_is_refused() -> None:
    world = World(1, swag=True).start()
    world.update(0, 1.0)
    world.advance()
    with pytest.raises(WrongState, match="state S"):
        world.update(0, 2.0)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (torch.ones(7), torch.ones(8), "vector of 8"),
        (torch.ones(8), torch.ones(2, 4), "vector of 8"),
        (torch.full((8,), torch.nan), torch.ones(8), "finite"),
        (torch.ones(8), -torch.ones(8), "negative"),
        (torch.ones(8, dtype=torch.int64), torch.ones(8), "dtype"),
    ],
)
def test_moments_that_do_not_fit_are_refused(first: torch.Tensor, second: torch.Tensor, reason: str) -> None:
    world = World(1, swag=True).start()
    world.update(0, 1.0)
    world.advance()
    with pytest.raises(InvalidFile, match=reason):
        world.moments(0, first, second)


def test_a_model_into_which_no_average_can_be_written_is_refused_before_it_is_trained() -> None:
    module = linear(1.0)
    module.register_buffer("expanded", torch.ones(1).expand(5))
    with pytest.raises(InvalidRequest, match="expanded view"):
        World(1, module=module)


def test_daisy_chaining_agrees_with_a_simulation_by_the_recorded_permutations() -> None:
    world = World(4, target_num_updates=2, **DAISY).start()  # type: ignore[arg-type]
    sizes = [3, 5, 7, 11]
    people = [person.pk for person in world.people]
    held = dict.fromkeys(people, linear(0.0))
    for round in range(6):
        for who, person in enumerate(people):
            held[person] = noisy(held[person], 100 * round + who)
            world.update(who, held[person], size=sizes[who])
        world.advance()
        if round % 3 == 2:
            mean = sum(size * flat(held[person]) for size, person in zip(sizes, people, strict=True)) / sum(sizes)
            shared = linear(0.0)
            torch.nn.utils.vector_to_parameters(torch.as_tensor(mean), shared.parameters())
            held = dict.fromkeys(people, shared)
        else:
            event = TrainingEvent.objects.filter(kind=EventKind.PASSED_ON).latest("id")
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
    event = TrainingEvent.objects.get(kind=EventKind.PASSED_ON)
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
            world.update(0, 2.0, model_id=wrong)


def test_a_retry_of_an_update_to_a_passed_model_that_is_gone_is_taken_for_done() -> None:
    world = World(1, **DAISY).start()  # type: ignore[arg-type]
    world.update(0, 1.0)
    world.advance()
    given = world.given(world.people[0])
    world.update(0, 2.0, model_id=given)
    world.advance()
    assert not LocalModel.objects.filter(pk=str(given)).exists()
    world.update(0, 2.0, model_id=given, round=1)
    assert world.round == 2


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
    remove_participants(training_id=world.training.pk, user=world.actor, user_ids=[world.people[0].pk])
    assert LocalModel.objects.exclude(passed_to=None).count() == 2
    for who in (1, 2):
        world.update(who, 2.0)
    world.advance()
    assert LocalModel.objects.exclude(passed_to=None).count() == 2


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
    pass_the_deadline(world)
    values = sorted(float(flat(row.get_torch_model())[0]) for row in LocalModel.objects.exclude(passed_to=None))
    assert values == [5.0, 8.0]


def test_the_permutation_is_drawn_anew_in_each_round() -> None:
    world = World(3, aggregation_method="FedDC", options={"daisy_chain_period": 100}).start()
    places = {str(person.pk): who for who, person in enumerate(world.people)}
    for round in range(60):
        for who in range(3):
            world.update(who, float(round))
        world.advance()
    seen = {
        tuple(places[target] for _source, target in event.figures["permutation"])
        for event in TrainingEvent.objects.filter(kind=EventKind.PASSED_ON)
    }
    # Of six equally likely orders, at most three in 60 rounds would come once in 10^17 runs.
    assert len(seen) > 3


def test_the_order_of_arrival_makes_no_difference_to_a_single_bit() -> None:
    updates = [noisy(linear(0.1), seed) for seed in range(3)]
    first = World(3).start()
    second = World(like=first).start()
    for world, order in ((first, (0, 1, 2)), (second, (2, 0, 1))):
        for who in order:
            world.update(who, updates[who], size=3 + 4 * who)
        world.advance()
    assert torch.equal(flat(first.model.get_torch_model()), flat(second.model.get_torch_model()))


def test_moments_are_asked_for_after_an_averaging_and_not_after_a_passing_on() -> None:
    world = World(1, swag=True, aggregation_method="FedDC", options={"daisy_chain_period": 2}).start()
    world.update(0, 1.0)
    world.advance()
    assert world.state == ("O", "update")
    world.update(0, 2.0)
    world.advance()
    assert world.state == ("S", "swag")
