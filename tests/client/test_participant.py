"""What a participant's class decides, and what is computed for it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from fl_server_client import Invitation, Participant, Round

pytestmark = pytest.mark.once


class Walker(Participant):
    """Adds 1 to every weight each time it trains."""

    def train(self, model: torch.nn.Module, round: Round, options: Mapping[str, Any]) -> int:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1)
        return 12


def zeros() -> torch.nn.Module:
    module = torch.nn.Linear(2, 1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    return module


def test_moments_are_the_means_over_the_states_after_each_training() -> None:
    first, second, samples = Walker().moments(zeros(), Round(0, "t", "FedAvg"), {"swag_epochs": 3})
    assert samples == 12
    np.testing.assert_allclose(first, [2.0] * 3)
    np.testing.assert_allclose(second, [(1 + 4 + 9) / 3] * 3, rtol=1e-6)


@pytest.mark.parametrize("wanted", ["many", 0, -1, 10**9, None])
def test_a_number_of_epochs_that_cannot_be_is_five(wanted: object) -> None:
    first, _, _ = Walker().moments(zeros(), Round(0, "t", "FedAvg"), {"swag_epochs": wanted})
    np.testing.assert_allclose(first, [3.0] * 3)  # (1 + 2 + 3 + 4 + 5) / 5


def test_the_proximal_loss_is_half_mu_times_the_squared_distance_under_fedprox_only() -> None:
    module = zeros()
    start = tuple(parameter.detach().clone() for parameter in module.parameters())
    Walker().train(module, Round(0, "t", "FedProx"), {})
    settings = {"options": {"mu": 0.5}}
    assert Round(0, "t", "FedProx", settings, start).proximal_loss(module).item() == pytest.approx(0.25 * 3)
    assert Round(0, "t", "FedAvg", settings, start).proximal_loss(module) == 0


@pytest.mark.parametrize(
    ("options", "mu"), [({}, 0.01), ({"mu": 0}, 0.0), ({"mu": "x"}, 0.01), ({"mu": -1}, 0.01), (None, 0.01)]
)
def test_mu_comes_from_the_options_and_nonsense_is_left_at_the_default(options: Any, mu: float) -> None:
    assert Round(0, "t", "FedProx", {"options": options}).mu == mu


def test_invitations_stay_open_unless_the_class_accepts_them() -> None:
    class Eager(Walker):
        accepts_all = True

    assert Walker().accepts(Invitation("t", "a")) is None
    assert Eager().accepts(Invitation("t", "a")) is True


def test_a_class_without_its_two_methods_says_which_is_missing() -> None:
    with pytest.raises(NotImplementedError, match=r"Participant must define train\(\)"):
        Participant().train(None, Round(0, "t", ""), {})
    with pytest.raises(NotImplementedError, match=r"Walker must define evaluate\(\)"):
        Walker().evaluate(None)
