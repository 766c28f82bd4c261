"""Bytes of models and vectors, and how they are uploaded.

torch is imported only when it is needed: a process that shows what aggregation does without torch imports this, too.
"""

from __future__ import annotations

import copy
import io
import warnings
from functools import cache
from typing import TYPE_CHECKING

from django.core.files.uploadedfile import SimpleUploadedFile

if TYPE_CHECKING:
    import torch


def linear(value: float = 1.0) -> torch.nn.Module:
    """Three in, two out; each weight and bias is `value`."""
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(3, 2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(value)
    return module


def noisy(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """The module after a "training" that an observer can repeat."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    trained = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(0.9).add_(torch.randn(parameter.shape, generator=generator))
    return trained


def flat(module: torch.nn.Module) -> torch.Tensor:
    """All of the module's tensors in one vector."""
    import torch

    return torch.cat([tensor.flatten() for tensor in module.state_dict().values()])


def script(module: torch.nn.Module) -> torch.jit.ScriptModule:
    """The module as TorchScript, which torch calls deprecated and clients upload all the same."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted: torch.jit.ScriptModule = torch.jit.script(module)
        return scripted


def saved(value: object, pickle_protocol: int = 2) -> bytes:
    """What `torch.save` writes, or `torch.jit.save` of a scripted module."""
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(value, torch.jit.ScriptModule):
            torch.jit.save(value, buffer)
        else:
            torch.save(value, buffer, pickle_protocol=pickle_protocol)
    return buffer.getvalue()


def scripted(module: torch.nn.Module) -> bytes:
    """The TorchScript archive of a module, or of one that is scripted already."""
    import torch

    return saved(module if isinstance(module, torch.jit.ScriptModule) else script(module))


def saved_vector(*numbers: float) -> bytes:
    import torch

    return saved(torch.tensor(numbers, dtype=torch.float32))


@cache
def scripted_linear(value: float = 1.0) -> bytes:
    """`linear` as a TorchScript archive."""
    return scripted(linear(value))


@cache
def pickled_linear(value: float = 1.0) -> bytes:
    """`linear` as a pickled module."""
    return saved(linear(value))


@cache
def scripted_clamp() -> bytes:
    """A TorchScript archive that can be a preprocessing: it limits its input to 0..1."""
    import torch

    return scripted(torch.nn.Sequential(torch.nn.Hardtanh(0.0, 1.0)))


def uploaded(content: bytes, name: str = "model.pt") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)
