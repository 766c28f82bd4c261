from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fl_server_ai.uncertainty import batching
from fl_server_ai.uncertainty.base import Subject, UncertaintyBase, UncertaintyOptions, output_of

if TYPE_CHECKING:
    import torch

# In these the training flag switches dropout and nothing else.
_RECURRENT_AND_ATTENTION = frozenset(["RNN", "LSTM", "GRU", "MultiheadAttention"])


class MCDropout(UncertaintyBase):
    """N passes with dropout active, everything else in evaluation mode.

    Gal and Ghahramani: Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep Learning. ICML 2016.
    """

    @classmethod
    def samples(cls, inputs: torch.Tensor, subject: Subject, options: UncertaintyOptions, /) -> torch.Tensor:
        """In one batched pass where the rows of a batch cannot meet in the model, else one pass a sample."""
        import torch

        with _active_dropout(subject.model):
            together = batching.repeated_pass(subject.model, inputs, options.N)
            if together is not None:
                return together
            return torch.stack([output_of(subject.model, inputs) for _ in range(options.N)])


def has_dropout(module: torch.nn.Module) -> bool:
    """Does the training flag of this module itself switch dropout?"""
    name = class_name(module)
    return "Dropout" in name or name in _RECURRENT_AND_ATTENTION


def class_name(module: torch.nn.Module) -> str:
    """The name of the module's class, of a scripted one that of the class it was scripted from."""
    return str(getattr(module, "original_name", type(module).__name__))


@contextmanager
def _active_dropout(model: torch.nn.Module) -> Iterator[None]:
    switched = [module for module in model.modules() if has_dropout(module)]
    try:
        for module in switched:
            module.train(True)
        yield
    finally:
        for module in switched:
            module.train(False)
