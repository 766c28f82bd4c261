from __future__ import annotations

import dis
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise, takewhile
from types import FunctionType
from typing import TYPE_CHECKING

from fl_server_ai.uncertainty import batching
from fl_server_ai.uncertainty.base import Subject, UncertaintyBase, output_of
from fl_server_core.registry import uncertainty_methods
from fl_server_core.schema import UncertaintyOptions

if TYPE_CHECKING:
    import torch

# In these the training flag of the module itself, not of those inside, switches dropout and nothing else. Transformers'
# layers drop nothing themselves, but in evaluation mode they take a fast path that runs past the dropout inside.
_SWITCHING_DROPOUT = frozenset(
    [
        *("RNN", "LSTM", "GRU", "MultiheadAttention"),
        *("Transformer", "TransformerEncoder", "TransformerEncoderLayer"),
        *("TransformerDecoder", "TransformerDecoderLayer"),
    ]
)
_DROPOUT = re.compile(r"Dropout(\dd)?$")
_DROPPING = frozenset(["scaled_dot_product_attention"])
_NORMALISING = frozenset(["batch_norm", "instance_norm"])


@uncertainty_methods.register
class MCDropout(UncertaintyBase):
    """N passes with dropout active, everything else in evaluation mode."""

    name = "MC_DROPOUT"
    title = "MC dropout"
    paper = (
        "Gal and Ghahramani: Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep Learning."
        " ICML 2016."
    )

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

    That is known of torch's classes. Somebody's own code does, if it asks for the flag and calls a dropout function,
    but does not normalise by the flag as well.
    """
    name = class_name(module)
    if name in _SWITCHING_DROPOUT:
        return True
    called, asks = _own_code(module)
    drops = any("dropout" in function for function in called) or not called.isdisjoint(_DROPPING)
    return (_DROPOUT.search(name) is not None or (asks and drops)) and called.isdisjoint(_NORMALISING)


def class_name(module: torch.nn.Module) -> str:
    """The name of the module's class, of a scripted one that of the class it was scripted from."""
    return str(getattr(module, "original_name", type(module).__name__))


def _own_code(module: torch.nn.Module) -> tuple[set[str], bool]:
    """The functions that the methods of somebody's own class call, and whether they ask for the training flag."""
    import torch

    if isinstance(module, torch.jit.ScriptModule):
        methods = (module._c._get_method(name) for name in module._c._method_names())
        text = "\n".join(str(method.code) for method in methods)
        # Calls are printed with their paths: torch.dropout, __torch__.torch.nn.functional.dropout.
        called = set(re.findall(r"\btorch(?:\.\w+)*\.(\w+)", text))
        return called, re.search(r"\btraining\b", text) is not None
    called, asks = set(), False
    for before, step in _instructions(type(module)):
        asks = asks or step.argval == "training"
        of_a_module = before.opname in ("LOAD_GLOBAL", "LOAD_DEREF") or before.argval == "functional"
        if step.opname == "LOAD_GLOBAL" or (of_a_module and step.opname in ("LOAD_ATTR", "LOAD_METHOD")):
            called.add(str(step.argval))
    return called, asks


def _instructions(of: type) -> Iterator[tuple[dis.Instruction, dis.Instruction]]:
    """Each instruction of the methods, with the one before it, up to the first base class that is torch's."""
    for one in takewhile(lambda base: not base.__module__.startswith("torch."), of.__mro__):
        for member in vars(one).values():
            if isinstance(member, FunctionType):
                yield from pairwise(dis.get_instructions(member))


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
