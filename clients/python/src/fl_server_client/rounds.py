"""What a participant is told of a round, and of an invitation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Round:
    """One round, as the participant's part of it begins.

    number: from 0, or from the model's round when the training was created. training: its id. method: the aggregation
    method, such as "FedProx". settings: the server's JSON of the training. start: with FedProx, copies of the
    parameters with which the round begins: a tuple of tensors or, with NumpyFormat, arrays by name.
    """

    number: int
    training: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    start: Any = field(default=(), repr=False)

    @property
    def mu(self) -> float:
        """The weight of FedProx's proximal term: `mu` of the options, 0.01 without it; 0 for other methods."""
        if self.method != "FedProx":
            return 0.0
        mu = (self.settings.get("options") or {}).get("mu", 0.01)
        return float(mu) if isinstance(mu, (int, float)) and 0 <= mu < float("inf") else 0.01

    def proximal_loss(self, model: Any) -> Any:
        """What FedProx adds to the loss: mu / 2 · ‖w - w_global‖² (Li et al. 2020, equation 2). 0 for other methods.

        model: a torch module (returns a tensor to call backward on) or, with NumpyFormat, arrays by name (returns a
        float; its gradient is mu · (w - w_global)).
        """
        if not self.mu:
            return 0.0
        if isinstance(self.start, Mapping):
            return self.mu / 2 * float(sum(((model[name] - then) ** 2).sum() for name, then in self.start.items()))
        from .learning import proximal_term

        return self.mu / 2 * proximal_term(model.parameters(), self.start)


@dataclass(frozen=True)
class Invitation:
    """An actor's request to take part. training, actor, model: ids."""

    training: str
    actor: str
    model: str = ""
