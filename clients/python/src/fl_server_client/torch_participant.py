"""A participant in plain PyTorch, for those whose training is a loop over a data loader. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .errors import MissingPackage, Misused
from .participant import Participant
from .rounds import Round

try:
    import torch
    from torch.utils.data import DataLoader
except ModuleNotFoundError as error:
    raise MissingPackage("torch", "torch") from error

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of a batch's outputs and targets."""
MOST_EPOCHS = 10_000


def sgd(parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that is used if none is named."""
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


class TorchParticipant(Participant):
    """Trains a module on batches of (inputs, targets), and tests it on others.

    The training's options may set `epochs` and `lr`. FedProx's term is added to the loss.
    """

    def __init__(
        self,
        data: DataLoader[Any],
        *,
        loss: Loss,
        test_data: DataLoader[Any] | None = None,
        metrics: Mapping[str, Loss] | None = None,
        optimizer: Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer] = sgd,
        epochs: int = 1,
        seed: int = 0,
    ) -> None:
        """
        Args:
            loss: the mean over a batch, such as `torch.nn.functional.cross_entropy`. One for numbers, such as
                `mse_loss`, needs targets of the outputs' shape, mostly (samples, 1).
            test_data: what the model is tested on; without it, `data`.
            metrics: further means over a batch to report, by name; "loss" is reported anyway.
            optimizer: makes an optimizer for the parameters, anew for each round.
            epochs: how often a round goes through the data, unless the training's options say so.
            seed: batches and dropout depend on it and on the round's number only, so a repeat gives the same update.
        """
        self.data, self.test_data = data, test_data or data
        self.loss, self.metrics = loss, {"loss": loss, **(metrics or {})}
        self.optimizer, self.epochs, self.seed = optimizer, epochs, seed

    def train(self, model: torch.nn.Module, round: Round, options: Mapping[str, Any]) -> int:  # noqa: A002
        """Train the model in place, `epochs` times over the data."""
        torch.manual_seed(1_000_003 * self.seed + round.number)
        optimizer = self.optimizer(parameter for parameter in model.parameters() if parameter.requires_grad)
        set_learning_rate(optimizer, options)
        model.train()
        samples = 0
        for _ in range(epochs_of(options, self.epochs)):
            samples = 0
            for inputs, targets in self.data:
                optimizer.zero_grad()
                outputs = model(inputs)
                check_shapes(outputs, targets)
                loss = self.loss(outputs, targets) + round.proximal_loss(model)
                loss.backward()
                optimizer.step()
                samples += len(inputs)
        return samples

    def evaluate(self, model: torch.nn.Module) -> dict[str, float]:
        """The means of the loss and the metrics over the test data."""
        model.eval()
        totals, samples = dict.fromkeys(self.metrics, 0.0), 0
        with torch.no_grad():
            for inputs, targets in self.test_data:
                outputs = model(inputs)
                check_shapes(outputs, targets)
                for name, metric in self.metrics.items():
                    totals[name] += float(metric(outputs, targets)) * len(inputs)
                samples += len(inputs)
        return {name: total / samples for name, total in totals.items()} if samples else {}


def accuracy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The share of a classifier's outputs, shape (samples, classes), that are right."""
    return (outputs.argmax(dim=1) == targets).float().mean()


def check_shapes(outputs: Any, targets: Any) -> None:
    """Raise Misused for (samples, 1) against (samples): losses for numbers compare each output with each target."""
    if not (isinstance(outputs, torch.Tensor) and isinstance(targets, torch.Tensor) and targets.is_floating_point()):
        return
    if outputs.shape == (*targets.shape, 1):
        cure = f"targets.unsqueeze({targets.ndim})"
    elif targets.shape == (*outputs.shape, 1):
        cure = f"targets.squeeze({outputs.ndim})"
    else:
        return
    raise Misused(f"The outputs have the shape {tuple(outputs.shape)}, the targets {tuple(targets.shape)}: use {cure}.")


def epochs_of(options: Mapping[str, Any], default: int) -> int:
    """`epochs` of a training's options. The actor sets them: what can't be is left at the default."""
    wanted = options.get("epochs")
    return wanted if isinstance(wanted, int) and 0 < wanted <= MOST_EPOCHS else default


def set_learning_rate(optimizer: torch.optim.Optimizer, options: Mapping[str, Any]) -> None:
    """`lr` of a training's options, if it is a number above 0."""
    wanted = options.get("lr")
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool) and 0 < wanted < float("inf"):
        for group in optimizer.param_groups:
            group["lr"] = float(wanted)
