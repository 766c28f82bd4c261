from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ValidationError

from fl_server_ai.aggregation.exceptions import CannotAggregate
from fl_server_core.archive import Archive
from fl_server_core.schema import AggregationOptions, OptionsSchema, problems

if TYPE_CHECKING:
    import torch

Array = np.ndarray[Any, Any]


class Aggregation(ABC):
    """How the updates of a round become one model: the base of all methods.

    A method is a subclass with `@aggregation_methods.register`, in a module of its own in this package, or named by an
    entry point of the group `fl_server.aggregation`. It says what follows, and defines `reduce`; `select` and `step`
    where it needs them. These are pure functions on arrays: the engine cuts tensors into blocks and does the rest.

    name, title, paper: as the API, the admin and docs/methods.md show them.
    Options: the schema of a training's `options.aggregation`. needs: what it takes, in words.
    model_kind, round_kind: see `fl_server_core.registry.Method`.
    is_ordering: complex numbers, which have no order, are refused.
    is_weighted: `reduce` uses the weights; False: each update counts once, whatever its sample size.
    is_stacking: `reduce` gets a new array; otherwise a list of rows, which it may only read: that costs no copy.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[str] = "one update"
    model_kind: ClassVar[str] = "GlobalModel"
    round_kind: ClassVar[str] = ""
    Options: ClassVar[type[BaseModel]] = OptionsSchema
    is_ordering: ClassVar[bool] = False
    is_weighted: ClassVar[bool] = True
    is_stacking: ClassVar[bool] = True

    options: Any
    bounds: AggregationOptions

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        """Raises CannotAggregate for an option with an invalid value."""
        given = {} if options is None else options
        try:
            self.options = self.Options.model_validate(given)
            self.bounds = AggregationOptions.model_validate(given)
        except ValidationError:
            wrong = problems(self.Options, options, "aggregation.") | problems(
                AggregationOptions, options, "aggregation."
            )
            raise CannotAggregate(" ".join(wrong.values())) from None

    def check_count(self, count: int) -> None:
        """Raises CannotAggregate if so many updates are too few."""
        if count < 1:
            raise CannotAggregate("At least one update is needed.")

    def check_model(self, model: Archive) -> None:
        """Raises CannotAggregate, naming the tensor, if the method cannot be used with the model."""
        for name, info in model.tensors.items():
            if self.is_ordering and info.dtype.startswith("complex"):
                raise CannotAggregate(f"{self.title} cannot order the complex numbers of the tensor {name!r}.")

    def select(self, distances: Array, weights: Array) -> Array:
        """New weights, those of updates that do not count being 0.

        distances: float64 of shape (n, n), the squared Euclidean distances between the updates' parameters.
        weights: float64 of shape (n,), the sample sizes.
        """
        del distances
        return weights

    @abstractmethod
    def reduce(self, block: Array, weights: Array) -> Array:
        """One value for each element.

        block: shape (updates, elements), of float32 for the smaller floating types too, float64 for integers and
        booleans too, or complex; may be overwritten, unless is_stacking is False. weights: float64 of shape
        (updates,), with the sum 1. Where all updates have the same bits, these are kept whatever is
        returned; integers are rounded half to even.
        """

    def initial_state(self) -> Mapping[str, float]:
        """The arrays that `step` keeps from round to round, by name, each with the value that it begins with."""
        return {}

    def step(self, current: Array, reduced: Array, state: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
        """The model's new values, and the new state: for floating-point parameters, where all values are finite.

        current: the model's values before; reduced: what `reduce` returned; all of one shape and type.
        """
        del current
        return reduced, state

    def aggregate(
        self, models: Sequence[torch.nn.Module], model_sample_sizes: Sequence[int], *, deepcopy: bool = True
    ) -> torch.nn.Module:
        """Aggregate modules: for trusted shells, since the server has only files.

        Args:
            models: modules with the same state_dict() names, shapes and dtypes; at least one. The first one stands for
                the current model where a method needs it.
            model_sample_sizes: one weight a model, ≥ 0, not all 0.
            deepcopy: False: the first module itself takes the result.

        Raises:
            ValueError: the lists are empty, differ in length, or the modules do not fit.
            CannotAggregate: the models are too few for the method, or of types that it cannot take.
        """
        from fl_server_ai.aggregation.modules import aggregate_modules  # torch takes seconds to import

        return aggregate_modules(self, models, model_sample_sizes, deepcopy=deepcopy)
