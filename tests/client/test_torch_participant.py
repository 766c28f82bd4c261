"""The participant in plain PyTorch, on data that are counted by hand."""

from typing import Any

import pytest
import torch
from fl_server_client import Misused, Round
from fl_server_client.torch_participant import TorchParticipant, accuracy
from torch.utils.data import DataLoader, TensorDataset

pytestmark = pytest.mark.once

INPUTS, TARGETS = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[2.0], [4.0], [6.0]])


def line(weight: float = 0.0) -> torch.nn.Linear:
    module = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(weight)
    return module


def participant(batch_size: int = 3, **settings: Any) -> TorchParticipant:
    loader: DataLoader[Any] = DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=batch_size)
    loss = torch.nn.functional.mse_loss
    return TorchParticipant(loader, loss=loss, optimizer=lambda found: torch.optim.SGD(found, lr=0.01), **settings)


def weight_after(options: dict[str, Any], *, method: str = "FedAvg", **settings: Any) -> float:
    module = line()
    start = (module.weight.detach().clone() - 1,)  # as if the model had moved by 1 already
    round = Round(0, "t", method, {"options": {"mu": 0.5}}, start)
    assert participant(**settings).train(module, round, options) == 3
    return module.weight.item()


def test_a_step_is_that_of_gradient_descent_on_the_mean_of_the_batch() -> None:
    # The gradient of mean((w x - 2 x)²) at w = 0 is -4 · mean(x²) = -4 · 14 / 3.
    assert weight_after({}) == pytest.approx(0.01 * 56 / 3)


def test_fedprox_adds_the_pull_to_the_model_that_the_round_began_with() -> None:
    # The pull is mu · (w - w_global) = 0.5 · 1.
    assert weight_after({}, method="FedProx") == pytest.approx(0.01 * (56 / 3 - 0.5))


def test_the_options_set_epochs_and_learning_rate() -> None:
    assert weight_after({"lr": 0.02}) == pytest.approx(0.02 * 56 / 3)
    once = 0.01 * 56 / 3
    assert weight_after({"epochs": 2}) == pytest.approx(once + 0.01 * (2 - once) * 28 / 3)


@pytest.mark.parametrize("options", [{"epochs": 0}, {"epochs": "2"}, {"epochs": 10**9}, {"lr": -1}, {"lr": "x"}])
def test_options_that_cannot_be_are_left_at_the_default(options: dict[str, Any]) -> None:
    assert weight_after(options) == pytest.approx(0.01 * 56 / 3)


def test_metrics_are_means_over_samples_not_over_batches() -> None:
    metrics = participant(batch_size=2, metrics={"error": lambda found, wanted: (wanted - found).mean()}).evaluate(
        line(1.0)
    )
    assert metrics == {"loss": pytest.approx((1 + 4 + 9) / 3), "error": pytest.approx(2.0)}


def test_a_repeat_of_a_round_gives_the_same_update_although_batches_are_shuffled() -> None:
    def trained() -> torch.Tensor:
        inputs = torch.arange(8.0).reshape(-1, 1)
        loader: DataLoader[Any] = DataLoader(TensorDataset(inputs, 2 * inputs), batch_size=1, shuffle=True)
        module = line()
        TorchParticipant(loader, loss=torch.nn.functional.mse_loss).train(module, Round(1, "t", ""), {"lr": 0.01})
        return module.weight

    one = trained()
    torch.rand(3)
    assert torch.equal(one, trained())


@pytest.mark.parametrize(
    ("targets", "outputs", "sentence"),
    [
        (TARGETS.squeeze(1), (3, 1), r"shape \(3, 1\), the targets \(3,\): use targets.unsqueeze\(1\)"),
        (TARGETS, (3,), r"shape \(3,\), the targets \(3, 1\): use targets.squeeze\(1\)"),
    ],
)
def test_shapes_that_a_regression_loss_would_compare_all_with_all_are_refused(
    targets: torch.Tensor, outputs: tuple[int, ...], sentence: str
) -> None:
    class Shaped(torch.nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return super().forward(inputs).reshape(outputs)

    loader: DataLoader[Any] = DataLoader(TensorDataset(INPUTS, targets), batch_size=3)
    module, one = Shaped(1, 1), TorchParticipant(loader, loss=lambda found, wanted: (found - wanted).square().mean())
    before = module.weight.detach().clone()
    with pytest.raises(Misused, match=sentence):
        one.train(module, Round(0, "t", ""), {})
    assert torch.equal(module.weight, before)
    with pytest.raises(Misused, match=sentence):
        one.evaluate(module)


def test_a_classifier_of_one_class_is_not_refused() -> None:
    loader: DataLoader[Any] = DataLoader(TensorDataset(INPUTS, torch.zeros(3, dtype=torch.long)), batch_size=3)
    one = TorchParticipant(loader, loss=torch.nn.functional.cross_entropy)
    assert one.train(line(), Round(0, "t", ""), {}) == 3


def test_accuracy_is_the_share_of_right_classes() -> None:
    assert accuracy(torch.eye(4), torch.tensor([0, 1, 2, 0])).item() == pytest.approx(0.75)
