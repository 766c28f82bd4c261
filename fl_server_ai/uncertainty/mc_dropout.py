from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fl_server_ai.uncertainty import batching
from fl_server_ai.uncertainty.base import Subject, UncertaintyBase, UncertaintyOptions, output_of

if TYPE_CHECKING:
    import torch

# In these the training flag of the module itself, not of those inside, switches dropout and nothing else. Transformers'
# layers have none, but in evaluation mode a fast path that runs past the dropout inside.
_SWITCHING_DROPOUT = frozenset(
    [
        *("RNN", "LSTM", "GRU", "MultiheadAttention"),
        *("Transformer", "TransformerEncoder", "TransformerEncoderLayer"),
        *("TransformerDecoder", "TransformerDecoderLayer"),
    ]
)
_NORMALISING = frozenset(["batch_norm", "instance_norm"])


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
    """Does the training flag of this module itself switch dropout?

    That is known of torch's classes. Code of somebody's own does, if it asks for the flag and calls a dropout function
    and none that normalises by the flag as well.
    """
    name = class_name(module)
    if "Dropout" in name or name in _SWITCHING_DROPOUT:
        return True
    names = _names_in_own_code(module)
    return "training" in names and any("dropout" in one for one in names) and names.isdisjoint(_NORMALISING)


def class_name(module: torch.nn.Module) -> str:
    """The name of the module's class, of a scripted one that of the class it was scripted from."""
    return str(getattr(module, "original_name", type(module).__name__))


def _names_in_own_code(module: torch.nn.Module) -> set[str]:
    """The names that the methods of a module use, if its class is not torch's; without those of modules inside."""
    import torch

    if isinstance(module, torch.jit.ScriptModule):
        methods = (module._c._get_method(name) for name in module._c._method_names())
        names = {name for method in methods for name in re.findall(r"\w+", str(method.code))}
    elif type(module).__module__.startswith("torch."):
        return set()
    else:
        codes = (getattr(member, "__code__", None) for member in vars(type(module)).values())
        names = {name for code in codes if code is not None for name in code.co_names}
    return names - {name for name, _inside in module.named_children()}


@contextmanager
def _active_dropout(model: torch.nn.Module) -> Iterator[None]:
    switched = [module for module in model.modules() if has_dropout(module)]
    try:
        # Not by train(): that switches all the modules inside as well, normalisation among them.
        for module in switched:
            module.training = True
        yield
    finally:
        for module in switched:
            module.training = False
