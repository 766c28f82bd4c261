"""What the example participant computes, against numbers computed by hand or in numpy."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from fl_server_client import Round
from fl_server_client.learning import RunningMoments, proximal_term

from examples.training import Classifier, Hyperparameters, train

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def classifier(seed: int = 0) -> torch.nn.Linear:
    torch.manual_seed(seed)
    return torch.nn.Linear(3, 2)


def samples(count: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(count, 3, generator=generator), torch.randint(0, 2, (count,), generator=generator)


def learner(seed: int = 1) -> Classifier:
    inputs, targets = samples()
    return Classifier(inputs, targets, inputs[:4], targets[:4], seed=seed)


def test_the_proximal_term_is_the_squared_distance_over_all_parameters() -> None:
    now = [torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])]
    then = [torch.tensor([0.0, 4.0]), torch.tensor([[0.5]])]
    assert proximal_term(now, then).item() == 1 + 4 + 6.25


def gradient_descent(mu: float, steps: int, lr: float) -> tuple[np.ndarray, np.ndarray]:
    """Full-batch softmax regression with a proximal term, its gradients written out."""
    module = classifier()
    inputs, targets = (tensor.numpy().astype(np.float64) for tensor in samples())
    weight, bias = (p.detach().numpy().astype(np.float64) for p in (module.weight, module.bias))
    weight_start, bias_start = weight.copy(), bias.copy()
    for _ in range(steps):
        logits = inputs @ weight.T + bias
        slope = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(2)[targets.astype(int)]
        new_weight = weight - lr * (slope.T @ inputs / len(inputs) + mu * (weight - weight_start))
        bias = bias - lr * (slope.mean(axis=0) + mu * (bias - bias_start))
        weight = new_weight
    return weight, bias


@pytest.mark.parametrize("mu", [0.0, 0.7])
def test_training_takes_the_steps_of_gradient_descent_with_the_proximal_term(mu: float) -> None:
    module, (inputs, targets) = classifier(), samples()
    wish = Hyperparameters(lr=0.3, batch_size=8, momentum=0.0, mu=mu)
    train(module, inputs, targets, wish, epochs=6, generator=torch.Generator())
    weight, bias = gradient_descent(mu, steps=6, lr=0.3)
    np.testing.assert_allclose(module.weight.detach().numpy(), weight, atol=1e-6)
    np.testing.assert_allclose(module.bias.detach().numpy(), bias, atol=1e-6)


def test_moments_are_the_means_over_the_states_in_the_order_of_the_named_parameters() -> None:
    module, moments, states = classifier(), RunningMoments(), []
    for value in (1.0, -2.0, 4.0):
        with torch.no_grad():
            module.weight.copy_(torch.arange(6).reshape(2, 3) * value)
            module.bias.fill_(value)
        states.append(np.array([0, 1, 2, 3, 4, 5, 1, 1]) * value)
        moments.add(module)
    first, second = moments.vectors()
    assert first.dtype == second.dtype == torch.float32
    np.testing.assert_allclose(first.numpy(), np.mean(states, axis=0), rtol=1e-6)
    np.testing.assert_allclose(second.numpy(), np.mean(np.square(states), axis=0), rtol=1e-6)


def test_a_tied_parameter_is_in_the_moments_once() -> None:
    module = torch.nn.ModuleList([torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)])
    module[1].weight = module[0].weight
    moments = RunningMoments()
    moments.add(module)
    assert len(moments.vectors()[0]) == 4


def test_moments_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no state"):
        RunningMoments().vectors()


def test_a_learner_averages_over_its_last_epochs_from_the_given_model() -> None:
    """The same epochs, run by hand, and their states averaged in numpy."""
    options = {"swag_epochs": 3, "lr": 0.2, "batch_size": 4, "momentum": 0.0}
    first, second, samples_seen = learner().moments(classifier(), Round(4, "t", "FedAvg"), options)
    assert samples_seen == 8
    states: list[np.ndarray] = []

    def keep(module: torch.nn.Module) -> None:
        states.append(np.concatenate([p.detach().numpy().ravel() for p in module.parameters()]))

    generator = torch.Generator().manual_seed(1_000_003 * 1 + 4)
    wish = Hyperparameters(lr=0.2, batch_size=4, momentum=0.0, mu=0.0)
    train(classifier(), *samples(), wish, epochs=3, generator=generator, after_epoch=keep)
    np.testing.assert_allclose(first.numpy(), np.mean(states, axis=0), atol=1e-6)
    np.testing.assert_allclose(second.numpy(), np.mean(np.square(states), axis=0), atol=1e-6)
    assert (second - first.square()).max() > 0


def test_a_round_that_is_trained_twice_gives_the_same_update() -> None:
    def update(seed: int, number: int) -> torch.Tensor:
        torch.manual_seed(seed + number)  # what happened before must not matter
        module = torch.nn.Sequential(classifier(), torch.nn.Dropout(0.5))
        learner(seed).train(module, Round(number, "t", "FedAvg"), {"batch_size": 2})
        return torch.nn.utils.parameters_to_vector(module.parameters()).detach()

    assert torch.equal(update(1, 7), update(1, 7))
    assert not torch.equal(update(1, 7), update(1, 8))
    assert not torch.equal(update(1, 7), update(2, 7))


def test_a_test_is_made_in_eval_mode_and_reports_loss_and_accuracy() -> None:
    layer = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2))
    module = torch.nn.Sequential(torch.nn.Dropout(0.9), layer)
    inputs = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    result = Classifier(inputs, torch.zeros(3).long(), inputs, torch.tensor([0, 1, 1])).evaluate(module)
    right, wrong = np.log(1 + np.exp(-2)), np.log(1 + np.exp(2))
    assert result["loss"] == pytest.approx((2 * right + wrong) / 3, rel=1e-6)
    assert result["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("options", "method", "expected"),
    [
        ({}, "FedAvg", Hyperparameters(mu=0.0)),
        ({}, "FedProx", Hyperparameters(mu=0.01)),
        ({"mu": 1}, "FedProx", Hyperparameters(mu=1.0)),
        ({"mu": 1}, "FedAvg", Hyperparameters(mu=0.0)),
        ({"epochs": 7.0, "lr": 1, "batch_size": 5}, "FedAvg", Hyperparameters(7, 1.0, 5, mu=0.0)),
        ({"epochs": "7", "lr": -1, "batch_size": True}, "FedAvg", Hyperparameters(mu=0.0)),
        ({"epochs": float("inf"), "lr": float("nan")}, "FedAvg", Hyperparameters(mu=0.0)),
    ],
)
def test_hyperparameters_come_from_the_options_and_nonsense_is_left_at_the_default(
    options: dict[str, Any], method: str, expected: Hyperparameters
) -> None:
    assert Hyperparameters.of(options, method) == expected
    assert isinstance(Hyperparameters.of(options, method).epochs, int)
