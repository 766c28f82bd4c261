"""A participant that trains a classifier with SGD: what the demo and the reproductions run."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from fl_server_client import Participant, Round
from fl_server_client.learning import RunningMoments, proximal_term

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
    def of(cls, options: Mapping[str, Any], method: str = "") -> Hyperparameters:
        """Read them from a training's options. mu is 0 unless the method is FedProx.

        The actor sets the options, so invalid values are possible: they are replaced by the default.
        """
        chosen: dict[str, Any] = {}
        for field in fields(cls):
            value, default = options.get(field.name), getattr(cls, field.name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
                chosen[field.name] = type(default)(value)
            elif value is not None:
                logger.warning("option %s = %r is not a valid number, using %r", field.name, value, default)
        if method != "FedProx":
            chosen["mu"] = 0.0
        return cls(**chosen)


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


class Classifier(Participant):
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

    def train(self, model: torch.nn.Module, round: Round, options: Mapping[str, Any]) -> int:  # noqa: A002
        """Train the model in place."""
        hyperparameters = Hyperparameters.of(options, round.method)
        self._train(model, round, hyperparameters, epochs=hyperparameters.epochs)
        return self.sample_size

    def moments(
        self,
        model: torch.nn.Module,
        round: Round,  # noqa: A002
        options: Mapping[str, Any],
    ) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Train on from the global model and average the parameters after each epoch: E[w], E[w²]."""
        hyperparameters = Hyperparameters.of(options, round.method)
        found = RunningMoments()
        epochs = max(1, hyperparameters.swag_epochs)
        self._train(model, round, hyperparameters, epochs=epochs, after_epoch=found.add)
        return (*found.vectors(), self.sample_size)

    def _train(
        self,
        model: torch.nn.Module,
        round: Round,  # noqa: A002
        hyperparameters: Hyperparameters,
        *,
        epochs: int,
        after_epoch: Callable[[torch.nn.Module], None] | None = None,
    ) -> None:
        generator = self._seeded(round.number)
        train(
            model,
            self.inputs,
            self.targets,
            hyperparameters,
            epochs=epochs,
            generator=generator,
            after_epoch=after_epoch,
        )

    def evaluate(self, model: torch.nn.Module) -> dict[str, float]:
        """Loss and accuracy on the participant's own test data."""
        model.eval()
        with torch.no_grad():
            outputs = model(self.test_inputs)
            loss = torch.nn.functional.cross_entropy(outputs, self.test_targets)
        hits = (outputs.argmax(dim=1) == self.test_targets).float().mean()
        return {"loss": float(loss), "accuracy": float(hits)}

    def _seeded(self, number: int) -> torch.Generator:
        """Batch order and dropout depend only on seed and round, so a repeat gives the same update."""
        seed = 1_000_003 * self.seed + number
        torch.manual_seed(seed)
        return torch.Generator().manual_seed(seed)
