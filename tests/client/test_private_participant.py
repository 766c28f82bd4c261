"""The example of differential privacy; where Opacus is installed, what a sample changes is bounded."""

import pytest
import torch
from fl_server_client import Round

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("opacus")


def trained(monkeypatch: pytest.MonkeyPatch, scale: float, noise: float) -> torch.Tensor:
    from torch.utils.data import TensorDataset

    from examples import private_participant

    monkeypatch.setattr(private_participant, "NOISE_MULTIPLIER", noise)
    data = TensorDataset(torch.full((4, 2), scale), torch.tensor([0, 0, 0, 0]))
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    before = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    one = private_participant.PrivateParticipant(data, data)
    assert one.train(model, Round(0, "t", "FedAvg"), {}) == 4
    assert not model._forward_hooks
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach() - before


def test_however_large_a_sample_is_it_moves_the_model_by_no_more_than_its_clipped_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from examples.private_participant import LEARNING_RATE, MAX_GRAD_NORM

    moved = trained(monkeypatch, -1000.0, noise=1e-9).norm().item()
    assert 0 < moved <= LEARNING_RATE * MAX_GRAD_NORM + 1e-5


def test_noise_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, noisy = trained(monkeypatch, 0.0, noise=1e-9), trained(monkeypatch, 0.0, noise=5.0)
    assert (noisy - quiet).norm() > 0.05


def test_epsilon_grows_with_every_round() -> None:
    from examples.private_participant import Digits

    one = Digits()
    model = torch.nn.Sequential(torch.nn.Linear(64, 10))
    spent = []
    for number in range(2):
        one.train(model, Round(number, "t", "FedAvg"), {})
        spent.append(one.epsilon("t"))
    assert 0 < spent[0] < spent[1] < 10
    assert one.evaluate(model)["accuracy"] > 0.5


def test_a_model_that_mixes_samples_is_refused() -> None:
    from examples.private_participant import Digits

    with pytest.raises(ValueError, match="can't be trained privately"):
        Digits().train(torch.nn.Sequential(torch.nn.BatchNorm1d(64)), Round(0, "t", "FedAvg"), {})
