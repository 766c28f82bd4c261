"""SWAG's sampler against the moments that it is given."""

from __future__ import annotations

import pytest
import torch

from fl_server_ai.uncertainty.base import Subject
from fl_server_ai.uncertainty.swag import SWAG, set_parameters, weight_samples
from fl_server_core.schema import UncertaintyOptions
from tests.ai.uncertainty.options import many

COUNT = 10_000
MEAN = torch.tensor([0.0, 1.0, -2.0, 100.0, 1e-3], dtype=torch.float64)
VARIANCE = torch.tensor([1.0, 0.25, 4.0, 1e-2, 1e-8], dtype=torch.float64)


def drawn(mean: torch.Tensor, variance: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    samples = weight_samples(
        mean, variance + mean**2, count=COUNT, scale=scale, generator=torch.Generator().manual_seed(7)
    )
    return torch.stack(list(samples))


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_mean_and_variance_of_the_samples_are_those_of_the_moments(scale: float) -> None:
    samples = drawn(MEAN, VARIANCE, scale)
    variance = VARIANCE * scale**2
    # Standard errors of the mean and of the variance of a normal distribution, from COUNT samples.
    error_of_mean = (variance / COUNT).sqrt()
    error_of_variance = variance * (2 / (COUNT - 1)) ** 0.5
    assert ((samples.mean(0) - MEAN).abs() < 6 * error_of_mean).all()
    assert ((samples.var(0) - variance).abs() < 6 * error_of_variance).all()


def test_weights_are_drawn_independently() -> None:
    correlation = torch.corrcoef(drawn(MEAN, VARIANCE).T) - torch.eye(len(MEAN), dtype=torch.float64)
    assert correlation.abs().max() < 6 / COUNT**0.5


def test_the_samples_of_one_request_differ() -> None:
    samples = list(weight_samples(MEAN, VARIANCE + MEAN**2, count=3))
    assert len({tuple(sample.tolist()) for sample in samples}) == 3


def test_a_second_moment_below_the_square_of_the_first_gives_the_mean_and_no_error() -> None:
    (sample,) = weight_samples(MEAN, MEAN**2 - 1, count=1)
    torch.testing.assert_close(sample, MEAN, rtol=0, atol=1e-13)


def test_float32_moments_do_not_lose_a_small_variance_to_rounding() -> None:
    mean = torch.full((4,), 2.0)
    (sample,) = weight_samples(mean, torch.full((4,), 4.0), count=1)
    torch.testing.assert_close(sample, mean.double(), rtol=0, atol=1e-13)


class Tied(torch.nn.Module):
    """The weight is shared, and comes after a bias of another layer in named_parameters()."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(2, 2)
        self.second = torch.nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.second(self.first(x)))


def test_a_vector_fills_the_parameters_in_their_order_and_tied_ones_once() -> None:
    model = Tied()
    with torch.no_grad():
        set_parameters(model, torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    assert model.second.weight.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert model.first.bias.tolist() == [5.0, 6.0]


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="have 5 entries, the model has 6 parameters"):
        set_parameters(Tied(), torch.ones(5))


def test_the_answer_is_that_of_the_mean_weights_where_the_moments_leave_no_doubt() -> None:
    model = torch.nn.Linear(2, 1)
    weights = torch.tensor([1.0, 2.0, 3.0])
    subject = Subject([model], weights, weights**2)
    inference, said = SWAG.predict(torch.tensor([[10.0, 100.0]]), subject, UncertaintyOptions(N=4))
    torch.testing.assert_close(inference, torch.tensor([[213.0]]))
    assert said["variance"] is not None
    assert said["variance"].item() == pytest.approx(0, abs=1e-9)


def test_the_spread_of_the_answers_is_that_of_the_weights() -> None:
    # y = w · 3 with w ~ N(2, 0.25): variance 9 · 0.25.
    model = torch.nn.Linear(1, 1, bias=False)
    subject = Subject([model], torch.tensor([2.0]), torch.tensor([4.25]), seed=3)
    inference, said = SWAG.predict(torch.tensor([[3.0]]), subject, many(4000))
    assert inference.item() == pytest.approx(6, abs=6 * 1.5 / 4000**0.5)
    assert said["variance"] is not None
    assert said["variance"].item() == pytest.approx(2.25, rel=6 * (2 / 3999) ** 0.5)


def test_the_model_has_its_own_parameters_again_afterwards() -> None:
    model = torch.nn.Linear(2, 2)
    before = [parameter.clone() for parameter in model.parameters()]
    SWAG.predict(torch.ones(1, 2), Subject([model], torch.zeros(6), torch.ones(6)), UncertaintyOptions())
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        SWAG.predict(torch.ones(1, 3), Subject([model], torch.zeros(6), torch.ones(6)), UncertaintyOptions())
    for parameter, value in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, value)


def test_a_model_without_moments_is_refused() -> None:
    with pytest.raises(ValueError, match="no SWAG moments yet"):
        SWAG.predict(torch.ones(1, 2), Subject([torch.nn.Linear(2, 2)]), UncertaintyOptions())
