"""What a participant computes on its data: local training, FedProx's proximal term, SWAG's moments, a test.

This module doesn't know the server. To train something else, copy `Learner` and change its three methods.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch.nn.utils import parameters_to_vector

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hyperparameters:
    """How to train. The actor may set any of these in the training's options."""

    epochs: int = 3
    lr: float = 0.05
    batch_size: int = 16
    momentum: float = 0.9
    mu: float = 0.01
    swag_epochs: int = 5

    @classmethod
    def of(cls, training: dict[str, Any]) -> Hyperparameters:
        """Read them from the server's JSON of a training. mu is 0 unless the method is FedProx.

        The actor sets the options, so invalid values are possible: they are replaced by the default.
        """
        options = training.get("options") or {}
        chosen: dict[str, Any] = {}
        for field in fields(cls):
            value, default = options.get(field.name), getattr(cls, field.name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
                chosen[field.name] = type(default)(value)
            elif value is not None:
                logger.warning("option %s = %r is not a valid number, using %r", field.name, value, default)
        if training.get("aggregation_method") != "FedProx":
            chosen["mu"] = 0.0
        return cls(**chosen)


def proximal_term(parameters: Iterable[torch.Tensor], reference: Sequence[torch.Tensor]) -> torch.Tensor:
    """‖w - w_global‖², the squared distance to the round's initial model (Li et al. 2020, equation 2)."""
    distances = [(now - then).square().sum() for now, then in zip(parameters, reference, strict=True)]
    return torch.stack(distances).sum()


def train(
    module: torch.nn.Module,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    hyperparameters: Hyperparameters,
    *,
    epochs: int,
    generator: torch.Generator,
    after_epoch: Callable[[torch.nn.Module], None] | None = None,
) -> None:
    """Train a classifier in place with SGD over shuffled batches.

    `after_epoch` is called with the module at the end of every epoch.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    reference = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.SGD(parameters, lr=hyperparameters.lr, momentum=hyperparameters.momentum)
    size = max(1, hyperparameters.batch_size)
    module.train()
    for _ in range(epochs):
        order = torch.randperm(len(inputs), generator=generator)
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(module(inputs[batch]), targets[batch])
            if hyperparameters.mu > 0:
                loss = loss + hyperparameters.mu / 2 * proximal_term(parameters, reference)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if after_epoch is not None:
            after_epoch(module)


class RunningMoments:
    """The means of the parameters and of their squares over all added states of a module.

    SWAG's first two moments (Maddox et al. 2019, algorithm 1, diagonal part). They are kept in float64, so that the
    variance, which is the difference of the two, stays accurate.
    """

    def __init__(self) -> None:
        self.count = 0
        self._first: torch.Tensor | None = None
        self._second: torch.Tensor | None = None

    def add(self, module: torch.nn.Module) -> None:
        """Add a state of the module as one vector, in the order of `named_parameters()`, with tied parameters once."""
        vector = parameters_to_vector(parameter.detach() for _, parameter in module.named_parameters()).double()
        self.count += 1
        if self._first is None or self._second is None:
            self._first, self._second = vector.clone(), vector.square()
        else:
            self._first += (vector - self._first) / self.count
            self._second += (vector.square() - self._second) / self.count

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """E[w] and E[w²] as float32 vectors.

        Raises:
            ValueError: nothing was added.
        """
        if self._first is None or self._second is None:
            raise ValueError("no state of the module was added")
        return self._first.float(), self._second.float()


class Learner:
    """One participant's data, and its training, moments and test."""

    def __init__(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        test_inputs: torch.Tensor,
        test_targets: torch.Tensor,
        *,
        seed: int = 0,
    ) -> None:
        """Inputs: shape (samples, …), float32. Targets: shape (samples,), class numbers."""
        self.inputs, self.targets = inputs, targets
        self.test_inputs, self.test_targets = test_inputs, test_targets
        self.seed = seed

    @property
    def sample_size(self) -> int:
        """How many samples a round trains on: this participant's weight in the average."""
        return len(self.inputs)

    def train(self, module: torch.nn.Module, training: dict[str, Any], number: int) -> None:
        """Train the module in place for round `number`."""
        hyperparameters = Hyperparameters.of(training)
        train(
            module,
            self.inputs,
            self.targets,
            hyperparameters,
            epochs=hyperparameters.epochs,
            generator=self._seeded(number),
        )

    def moments(
        self, module: torch.nn.Module, training: dict[str, Any], number: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Train on from the global model and average the parameters after each epoch: E[w], E[w²]."""
        hyperparameters = Hyperparameters.of(training)
        moments = RunningMoments()
        train(
            module,
            self.inputs,
            self.targets,
            hyperparameters,
            epochs=max(1, hyperparameters.swag_epochs),
            generator=self._seeded(number),
            after_epoch=moments.add,
        )
        return moments.vectors()

    def evaluate(self, module: torch.nn.Module) -> dict[str, float]:
        """Loss and accuracy on the participant's own test data."""
        module.eval()
        with torch.no_grad():
            outputs = module(self.test_inputs)
            loss = torch.nn.functional.cross_entropy(outputs, self.test_targets)
        hits = (outputs.argmax(dim=1) == self.test_targets).float().mean()
        return {"loss": float(loss), "accuracy": float(hits)}

    def _seeded(self, number: int) -> torch.Generator:
        """Batch order and dropout depend only on seed and round, so a repeat gives the same update."""
        seed = 1_000_003 * self.seed + number
        torch.manual_seed(seed)
        return torch.Generator().manual_seed(seed)
