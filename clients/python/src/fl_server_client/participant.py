"""The class to write a participant with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import Misused
from .model_format import ModelFormat, TorchFormat
from .rounds import Invitation, Round

SWAG_EPOCHS = 5


class Participant:
    """A participant: subclass it, and write `train` and `evaluate`.

        class Clinic(Participant):
            def train(self, model, round, options):
                ...                        # change model in place
                return len(my_data)        # how many samples it was trained on: its weight in the average

            def evaluate(self, model):
                return {"accuracy": 0.97}

        run(Clinic(), "https://fl.example.org", username="clinic-3", password=…)

    `model` is a `torch.nn.Module` on the CPU. With `models = NumpyFormat()` it is a dict of numpy arrays by name, and
    torch isn't needed.
    """

    models: ModelFormat = TorchFormat()
    accepts_all: bool = False

    def train(self, model: Any, round: Round, options: Mapping[str, Any]) -> int:  # noqa: A002  the field's word
        """Train the model in place on this participant's data.

        Keep the names, shapes and types of all parameters and buffers. Make the result depend only on the model, the
        round and a seed of your own: after a restart the round may be trained again.

        Args:
            options: the training's options, which the actor sets, so check them.

        Returns: how many samples it was trained on.
        """
        raise NotImplementedError(f"{type(self).__name__} must define train().")

    def evaluate(self, model: Any) -> dict[str, float]:
        """Test the model on this participant's data. Returns: metrics by name, of at most 32 characters each."""
        raise NotImplementedError(f"{type(self).__name__} must define evaluate().")

    def moments(self, model: Any, round: Round, options: Mapping[str, Any]) -> tuple[Any, Any, int]:  # noqa: A002
        """SWAG's moments (Maddox et al. 2019, algorithm 1): trains on, and averages the parameters after each `train`.

        `train` is called `swag_epochs` times (an option of the training, 5 without it).

        Returns: E[w] and E[w²] as vectors in the order of `named_parameters()`, and the number of samples.

        With NumpyFormat, write your own: the file doesn't keep this order.
        """
        if isinstance(model, Mapping):
            raise Misused(f"{type(self).__name__} must define moments(): without torch, their order isn't known.")
        from .learning import RunningMoments

        wanted = options.get("swag_epochs", SWAG_EPOCHS)
        epochs = wanted if isinstance(wanted, int) and 0 < wanted <= 1000 else SWAG_EPOCHS
        found, samples = RunningMoments(), 0
        for _ in range(epochs):
            samples = self.train(model, round, options)
            found.add(model)
        return (*found.vectors(), samples)

    def accepts(self, invitation: Invitation) -> bool | None:  # noqa: ARG002  for those who decide by it
        """Take part in a training? True accepts, False declines, None leaves the invitation open."""
        return True if self.accepts_all else None
