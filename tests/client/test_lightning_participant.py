"""The participant that trains with PyTorch Lightning; where it is installed, it takes the steps of plain PyTorch."""

from typing import Any

import pytest
import torch
from fl_server_client import Round
from torch.utils.data import DataLoader, TensorDataset

from tests.client.test_torch_participant import INPUTS, TARGETS, line, participant

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore")]
lightning = pytest.importorskip("lightning")


def module_around(model: torch.nn.Module) -> Any:
    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: Any, _number: int) -> torch.Tensor:
            return torch.nn.functional.mse_loss(self.model(batch[0]), batch[1])

        def validation_step(self, batch: Any, _number: int) -> None:
            self.log("loss", torch.nn.functional.mse_loss(self.model(batch[0]), batch[1]))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    return Module()


def learner() -> Any:
    from fl_server_client.lightning_participant import LightningParticipant

    loader: DataLoader[Any] = DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=3)
    return LightningParticipant(module_around, loader, accelerator="cpu")


@pytest.mark.parametrize("method", ["FedAvg", "FedProx"])
def test_it_takes_the_same_steps_as_plain_pytorch(method: str) -> None:
    one, other = line(), line()
    round = Round(0, "t", method, {"options": {"mu": 0.5}}, (one.weight.detach() - 1,))
    assert learner().train(one, round, {"epochs": 3}) == 3
    participant().train(other, round, {"epochs": 3})
    torch.testing.assert_close(one.weight, other.weight)
    assert one.weight.item() != 0


def test_metrics_are_what_the_validation_step_logs() -> None:
    assert learner().evaluate(line(1.0)) == {"loss": pytest.approx((1 + 4 + 9) / 3)}
