"""From a model or a training to its method."""

from __future__ import annotations

from typing import Any, Protocol, cast

from fl_server_ai.uncertainty.base import UncertaintyBase
from fl_server_core.registry import uncertainty_methods

NONE, ENSEMBLE = "NONE", "ENSEMBLE"


class HasMethod(Protocol):
    """A training."""

    @property
    def uncertainty_method(self) -> Any: ...


class HasTraining(Protocol):
    """A model."""

    def get_training(self) -> Any: ...


def get_uncertainty_class(value: str | HasMethod | HasTraining) -> type[UncertaintyBase]:
    """The class of a method, of a training's method, or of the method by which a model is asked.

    A mean of models is always asked by ENSEMBLE; any other model by the method of its training, or else NONE.

    Raises:
        ValueError: no method has this name.
    """
    name = value if isinstance(value, str) else _method_of(value)
    found = uncertainty_methods.get(name)
    if found is None:
        raise ValueError(f"Unknown uncertainty method {name}. Known are {', '.join(uncertainty_methods)}.")
    return cast("type[UncertaintyBase]", found)


def _method_of(value: HasMethod | HasTraining) -> str:
    if hasattr(value, "models"):
        return ENSEMBLE
    training = value.get_training() if hasattr(value, "get_training") else value
    return NONE if training is None else str(training.uncertainty_method)
