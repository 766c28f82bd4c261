"""A participant that trains with PyTorch Lightning. Needs lightning: pip install 'fl-server-client[lightning]'."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .errors import MissingPackage
from .participant import Participant
from .rounds import Round
from .torch_participant import epochs_of

try:
    import lightning
    import torch
except ModuleNotFoundError as error:
    raise MissingPackage("lightning", "lightning") from error


class LightningParticipant(Participant):
    """Trains a LightningModule around the model that the server sends.

        class Classifier(LightningModule):
            def __init__(self, model): super().__init__(); self.model = model
            def training_step(self, batch, _): return cross_entropy(self.model(batch[0]), batch[1])
            …

        run(LightningParticipant(Classifier, loader, test_data=test_loader), …)

    The training's option `epochs` sets how often a round goes through the data. FedProx's term is added to gradients.
    """

    def __init__(
        self,
        make_module: Callable[[torch.nn.Module], lightning.LightningModule],
        data: Any,
        *,
        test_data: Any = None,
        samples: int = 0,
        trainer: Callable[..., lightning.Trainer] = lightning.Trainer,
        epochs: int = 1,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        """
        Args:
            make_module: wraps the model, which it must not copy.
            data: what `Trainer.fit` takes: a data loader or a LightningDataModule.
            test_data: what `Trainer.validate` takes; without it, `data`.
            samples: how many there are; 0: as many as the loader's dataset has.
            trainer, settings: how to make a trainer, with which keyword arguments beside `max_epochs`.
            epochs: how often a round goes through the data, unless the training's options say so.
            seed: batches and dropout depend on it and on the round's number only, so a repeat gives the same update.
        """
        self.make_module, self.data = make_module, data
        self.test_data = data if test_data is None else test_data
        self.samples = samples or len(data.dataset)
        self.trainer, self.epochs, self.seed = trainer, epochs, seed
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        self.settings = {**quiet, "enable_model_summary": False, **settings}

    def train(self, model: torch.nn.Module, round: Round, options: Mapping[str, Any]) -> int:  # noqa: A002
        """Fit the model in place."""
        torch.manual_seed(1_000_003 * self.seed + round.number)
        term = ProximalTerm(model, round)
        trainer = self._trainer(max_epochs=epochs_of(options, self.epochs), callbacks=[term])
        trainer.fit(self.make_module(model), self.data)
        model.cpu()
        return self.samples

    def evaluate(self, model: torch.nn.Module) -> dict[str, float]:
        """What the module's `validation_step` logs."""
        found = self._trainer().validate(self.make_module(model), self.test_data, verbose=False)
        model.cpu()
        return {str(name): float(value) for one in found for name, value in one.items()}

    def _trainer(self, **own: Any) -> lightning.Trainer:
        callbacks = [*self.settings.get("callbacks", ()), *own.pop("callbacks", ())]
        return self.trainer(**{**self.settings, **own, "callbacks": callbacks})


class ProximalTerm(lightning.Callback):  # type: ignore[misc, unused-ignore]  # Any where lightning is not installed
    """Adds the gradient of FedProx's term, mu · (w - w_global), before each step (Li et al. 2020, equation 2)."""

    def __init__(self, model: torch.nn.Module, round: Round) -> None:  # noqa: A002  the field's word
        self._model, self._round = model, round

    def on_before_optimizer_step(self, *_: Any) -> None:
        """After gradients were accumulated and unscaled, before they are clipped."""
        if not self._round.mu:
            return
        for parameter, start in zip(self._model.parameters(), self._round.start, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach() - start.to(parameter.device), alpha=self._round.mu)
