import pytest
import torch

from fl_server_core.exceptions import InvalidFile, InvalidRequest, WrongState
from fl_server_core.models import SWAGModel
from tests.builders.files import flat, linear, noisy
from tests.builders.rounds import moment_files_of, submissions
from tests.builders.world import World

pytestmark = pytest.mark.django_db


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
    assert not any(moment_files_of(submission) for submission in submissions())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_moments_in_another_precision_are_averaged_with_the_others(dtype: torch.dtype) -> None:
    world = World(2, swag=True).start()
    world.update(0, 1.0)
    world.update(1, 1.0)
    world.advance()
    first, second = torch.arange(8.0), torch.arange(8.0) ** 2
    world.moments(0, first.to(dtype), second.to(dtype))
    world.moments(1, 3 * first, 9 * second)
    world.advance()
    model = world.model
    assert isinstance(model, SWAGModel)
    assert model.first_moment.tolist() == (2 * first).tolist()
    assert model.second_moment.tolist() == (5 * second).tolist()


def test_an_update_in_a_swag_round_is_refused() -> None:
    world = World(1, swag=True).start()
    world.update(0, 1.0)
    world.advance()
    with pytest.raises(WrongState, match="state S"):
        world.update(0, 2.0)


def test_who_comes_late_to_a_round_whose_state_is_over_hears_of_the_present_round() -> None:
    options = {"round_deadline": 60, "min_updates": 1}
    world = World(2, swag=True, options=options).start()
    world.update(0, 1.0)
    world.pass_the_deadline()
    with pytest.raises(WrongState) as update:
        world.update(1, 2.0, number=0)
    assert update.value.messages == [f"Training with ID {world.training.pk} is in state S", "The current round is 1."]
    world.moments(0, torch.ones(8), torch.ones(8))
    world.pass_the_deadline()
    with pytest.raises(WrongState) as moments:
        world.moments(1, torch.ones(8), torch.ones(8))
    assert moments.value.messages == [f"Training with ID {world.training.pk} is in state O", "The current round is 1."]


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


def test_the_chosen_method_makes_the_new_model_with_its_options() -> None:
    world = World(5, aggregation_method="TrimmedMean", options={"aggregation": {"trim": 0.2}}, target_num_updates=1)
    world.start()
    for who, value in enumerate((1.0, 2.0, 3.0, 1000.0, -1000.0)):
        world.update(who, value, size=who + 1)
    world.advance()
    assert torch.allclose(flat(world.model.get_torch_model()), torch.tensor(2.0))
