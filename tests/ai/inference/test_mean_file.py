"""The file of a mean of models."""

from __future__ import annotations

import pytest
import torch

from fl_server_ai.inference.mean_file import mean_model_file
from fl_server_ai.sandbox import ModelRunError
from fl_server_core.models import User
from tests.ai.sandbox.sandboxes import loaded
from tests.builders.files import linear, script
from tests.builders.rows import make_mean_model, make_model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_process_is_left")]


class Doubles(torch.nn.Module):
    """Twice its input, for which it overwrites it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul_(2)


def test_the_members_of_a_mean_file_do_not_see_what_others_do_to_their_input(owner: User) -> None:
    mean = make_mean_model(owner)
    mean.models.set([make_model(owner, weights=script(Doubles())) for _ in range(3)])
    assert loaded(mean_model_file(user=owner, model=mean))(torch.ones(1, 2)).tolist() == [[2.0, 2.0]]


def test_the_file_of_a_mean_model_averages_its_members(owner: User) -> None:
    mean = make_mean_model(owner)
    mean.models.set([make_model(owner, weights=script(linear(value))) for value in (1.0, 2.0, 6.0)])
    for _ in range(2):
        module = loaded(mean_model_file(user=owner, model=mean))
        assert module(torch.ones(1, 3)).tolist() == [[12.0, 12.0]]


def test_a_mean_of_pickled_modules_has_no_file(owner: User) -> None:
    mean = make_mean_model(owner)
    mean.models.set([make_model(owner, weights=linear()), make_model(owner, weights=script(linear()))])
    with pytest.raises(ModelRunError, match="A mean model can be downloaded only if all"):
        mean_model_file(user=owner, model=mean)
