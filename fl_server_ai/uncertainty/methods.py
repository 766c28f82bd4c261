"""From the name of a method to its class."""

from __future__ import annotations

from typing import Any, Protocol

from fl_server_ai.uncertainty.base import UncertaintyBase
from fl_server_ai.uncertainty.ensemble import Ensemble
from fl_server_ai.uncertainty.mc_dropout import MCDropout
from fl_server_ai.uncertainty.none import NoneUncertainty
from fl_server_ai.uncertainty.swag import SWAG

UNCERTAINTY_CLASSES: dict[str, type[UncertaintyBase]] = {
    "NONE": NoneUncertainty,
    "ENSEMBLE": Ensemble,
    "MC_DROPOUT": MCDropout,
    "SWAG": SWAG,
}


class HasMethod(Protocol):
    """A training."""

    @property
    def uncertainty_method(self) -> Any: ...


class HasTraining(Protocol):
    """A model."""

    def get_training(self) -> Any: ...


def get_uncertainty_class(value: str | HasMethod | HasTraining) -> type[UncertaintyBase]:
    """The class of a method, of a training's method, or of the method of a model's training.

    A model without a training: ENSEMBLE where it is a mean of others, NONE otherwise.

    Raises:
        ValueError: there is no such method.
    """
    name = value if isinstance(value, str) else method_of(value)
    try:
        return UNCERTAINTY_CLASSES[name]
    except KeyError:
        raise ValueError(f"There is no uncertainty method {name}.") from None


def method_of(value: HasMethod | HasTraining) -> str:
    """The name of the method of a training, or of a model."""
    training = value.get_training() if hasattr(value, "get_training") else value
    if training is not None:
        return str(training.uncertainty_method)
    return "ENSEMBLE" if hasattr(value, "models") else "NONE"
