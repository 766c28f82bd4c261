"""The mathematics of a participant's part: FedProx's proximal term and SWAG's moments. Needs torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch.nn.utils import parameters_to_vector


def proximal_term(parameters: Iterable[torch.Tensor], reference: Sequence[torch.Tensor]) -> torch.Tensor:
    """‖w - w_global‖², the squared distance to the round's initial model (Li et al. 2020, equation 2)."""
    distances = [(now - then).square().sum() for now, then in zip(parameters, reference, strict=True)]
    return torch.stack(distances).sum()


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
