"""By which methods of uncertainty a model can be asked."""

from __future__ import annotations

from typing import cast

from fl_server_ai.sandbox import ModelRunError
from fl_server_ai.uncertainty import UncertaintyBase, get_uncertainty_class
from fl_server_core.exceptions import InvalidRequest
from fl_server_core.models.model import GlobalModel, MeanModel, Model
from fl_server_core.registry import uncertainty_methods
from fl_server_core.selectors.models import global_of

Methods = list[type[UncertaintyBase]]


def fitting_methods(model: Model) -> Methods:
    """The method of the model's training first, then every other that needs nothing which the model lacks.

    Raises:
        ModelRunError: no installed package defines the method of its training.
    """
    own, base = _own(model), global_of(model)
    if isinstance(base, MeanModel):
        return [own]
    kinds = (GlobalModel.__name__, type(base).__name__)
    known = cast("Methods", list(uncertainty_methods.values()))
    return [own, *(method for method in known if method.model_kind in kinds and method is not own)]


def method_of(model: Model, name: str | None = None) -> type[UncertaintyBase]:
    """The method of this name, or that of the model's training.

    Raises:
        InvalidRequest: the model can't be asked by it.
        ModelRunError: as `fitting_methods` does.
    """
    if name is None:
        return _own(model)
    methods = {method.name: method for method in fitting_methods(model)}
    if name not in methods:
        raise InvalidRequest(f"The model can't be asked by the method {name}. Choose one of {', '.join(methods)}.")
    return methods[name]


def _own(model: Model) -> type[UncertaintyBase]:
    try:
        return get_uncertainty_class(model)
    except ValueError as error:
        raise ModelRunError(str(error)) from error
