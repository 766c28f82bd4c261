"""Which class stands for which method, and what NONE and ENSEMBLE answer."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fl_server_ai.uncertainty import (
    SWAG,
    Ensemble,
    MCDropout,
    NoneUncertainty,
    UncertaintyOptions,
    get_uncertainty_class,
)
from fl_server_ai.uncertainty.base import Subject
from fl_server_core.models.training import UncertaintyMethod

METHODS = [
    (UncertaintyMethod.NONE, NoneUncertainty),
    (UncertaintyMethod.ENSEMBLE, Ensemble),
    (UncertaintyMethod.MC_DROPOUT, MCDropout),
    (UncertaintyMethod.SWAG, SWAG),
]


class Row:
    """What a class needs of a model's row."""

    def __init__(self, model: torch.nn.Module | None = None, training: Any = None, **attributes: Any) -> None:
        self.model, self.training = model, training
        self.__dict__.update(attributes)

    def get_torch_model(self) -> torch.nn.Module:
        assert self.model is not None
        return self.model

    def get_training(self) -> Any:
        return self.training


def constant(value: float) -> torch.nn.Module:
    """Two outputs, the second one larger by one."""
    model = torch.nn.Linear(1, 2)
    torch.nn.init.zeros_(model.weight)
    model.bias = torch.nn.Parameter(torch.tensor([value, value + 1]))
    return model


@pytest.mark.parametrize(("method", "expected"), METHODS)
def test_the_class_of_a_method_a_training_and_a_model(method: UncertaintyMethod, expected: type) -> None:
    training = SimpleNamespace(uncertainty_method=method)
    assert get_uncertainty_class(method) is expected
    assert get_uncertainty_class(training) is expected
    assert get_uncertainty_class(Row(training=training)) is expected


def test_a_model_without_a_training_has_the_method_none_and_a_mean_model_ensemble() -> None:
    assert get_uncertainty_class(Row()) is NoneUncertainty
    assert get_uncertainty_class(Row(models=[])) is Ensemble


@pytest.mark.parametrize("method", UncertaintyMethod)
def test_a_mean_model_is_always_asked_by_ensemble(method: UncertaintyMethod) -> None:
    training = SimpleNamespace(uncertainty_method=method)
    assert get_uncertainty_class(Row(training=training, models=[])) is Ensemble


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Unknown uncertainty method GUESS\. Known are NONE, "):
        get_uncertainty_class("GUESS")


def test_none_answers_with_the_most_likely_class_and_nothing_else() -> None:
    inference, said = NoneUncertainty.prediction(torch.zeros(3, 1), Row(constant(0.0)))
    assert inference.tolist() == [1, 1, 1]
    assert said == {}


def test_none_needs_classes() -> None:
    with pytest.raises(ValueError, match=r"dimension 1; the model's output has the shape \(2,\)"):
        NoneUncertainty.prediction(torch.zeros(1), Row(constant(0.0)))


def test_an_ensemble_answers_with_mean_and_unbiased_variance_of_its_members() -> None:
    members = [Row(constant(value)) for value in (1.0, 2.0, 6.0)]
    row = Row(models=SimpleNamespace(all=lambda: members))
    inference, said = Ensemble.prediction(torch.zeros(1, 1), row)
    assert inference.tolist() == [[3.0, 4.0]]
    assert said["variance"] is not None
    assert said["variance"].tolist() == [[7.0, 7.0]]
    assert set(said) == {"variance", "std"}


class Doubles(torch.nn.Module):
    """Twice its input, for which it overwrites it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul_(2)


def test_a_member_that_overwrites_its_input_overwrites_nobody_elses() -> None:
    given = torch.ones(1, 2)
    inference, said = Ensemble.predict(given, Subject([Doubles(), Doubles()]), UncertaintyOptions())
    assert inference.tolist() == [[2.0, 2.0]]
    assert said["variance"] is not None
    assert said["variance"].tolist() == [[0.0, 0.0]]
    assert given.tolist() == [[1.0, 1.0]]


def test_members_may_have_inputs_of_their_own() -> None:
    subject = Subject([Doubles(), Doubles()], member_inputs=[torch.ones(1, 2), torch.full((1, 2), 3.0)])
    inference, _ = Ensemble.predict(torch.zeros(1, 2), subject, UncertaintyOptions())
    assert inference.tolist() == [[4.0, 4.0]]


def test_softmax_comes_first_and_makes_the_entropies_possible() -> None:
    options = UncertaintyOptions(softmax=True)
    inference, said = Ensemble.predict(torch.zeros(1, 1), Subject([constant(0.0), constant(5.0)]), options)
    # softmax(a, a + 1) is the same for every a.
    assert inference.sum().item() == pytest.approx(1)
    assert said["mutual_info"] is not None
    assert said["mutual_info"].tolist() == pytest.approx([0.0], abs=1e-6)


def test_one_member_has_a_mean_and_no_variance() -> None:
    _, said = Ensemble.predict(torch.zeros(1, 1), Subject([constant(0.0)]), UncertaintyOptions())
    assert said["variance"] is None
    assert said["std"] is None


def test_members_that_answer_in_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        Ensemble.predict(torch.zeros(1, 1), Subject([constant(0.0), torch.nn.Linear(1, 3)]), UncertaintyOptions())


def test_an_output_that_is_no_tensor_is_refused() -> None:
    lstm = torch.nn.LSTM(1, 2)
    with pytest.raises(ValueError, match="output is a tuple"):
        Ensemble.predict(torch.zeros(1, 1), Subject([lstm]), UncertaintyOptions())


def test_half_precision_is_answered_in_single() -> None:
    inference, _ = Ensemble.predict(
        torch.zeros(1, 1, dtype=torch.bfloat16), Subject([constant(0.0).bfloat16()]), UncertaintyOptions()
    )
    assert inference.dtype is torch.float32


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, UncertaintyOptions(N=10, softmax=False, scale=1.0)),
        (
            {"uncertainty": {"N": 3, "softmax": True, "scale": 0.5, "mine": 1}},
            UncertaintyOptions(N=3, softmax=True, scale=0.5),
        ),
        ({"uncertainty": {"N": None, "softmax": True}}, UncertaintyOptions(softmax=True)),
        ({"uncertainty": {"N": 1001, "softmax": 1, "scale": 0}}, UncertaintyOptions()),
        ({"uncertainty": "much"}, UncertaintyOptions()),
    ],
)
def test_options_are_read_from_a_training(options: dict[str, Any], expected: UncertaintyOptions) -> None:
    assert UncertaintyOptions.from_training(options) == expected


def test_importing_the_package_imports_neither_torch_nor_django() -> None:
    code = "import sys, fl_server_ai.uncertainty; print([name for name in ('torch', 'django') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
