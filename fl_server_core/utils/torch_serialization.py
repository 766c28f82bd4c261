"""Between torch objects and bytes, for trusted shells and scripts.

Loading a module runs its code. The server itself never calls these functions: it reads archives as data.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

UNREADABLE = (
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    RuntimeError,
    pickle.UnpicklingError,
    struct.error,
)
"""What loading raises for bytes that hold no pickle, a damaged one, or one of classes that are not installed."""


def is_torchscript_instance(value: object) -> bool:
    """Is this a scripted or traced module?"""
    import torch

    return isinstance(value, torch.jit.ScriptModule)


def from_torch_module(module: torch.nn.Module) -> bytes:
    """A TorchScript archive of a scripted module, a pickled one of any other."""
    import torch

    buffer = io.BytesIO()
    if is_torchscript_instance(module):
        torch.jit.save(module, buffer)
    else:
        torch.save(module, buffer)
    return buffer.getvalue()


def to_torch_module(content: bytes) -> torch.nn.Module:
    """The module of an archive, on the CPU.

    Raises:
        ValueError: the bytes hold no module.
    """
    value = _load(content)
    import torch

    if not isinstance(value, torch.nn.Module):
        raise ValueError(f"The file holds a {type(value).__name__}, not a torch.nn.Module.")
    return value


def from_torch_tensor(tensor: torch.Tensor) -> bytes:
    """An archive of one tensor."""
    import torch

    buffer = io.BytesIO()
    torch.save(tensor, buffer)
    return buffer.getvalue()


def to_torch_tensor(content: bytes) -> torch.Tensor:
    """The tensor of an archive, on the CPU.

    Raises:
        ValueError: the bytes hold no tensor.
    """
    import torch

    try:
        value = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(f"The file cannot be loaded: {error}") from error
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"The file holds a {type(value).__name__}, not a tensor.")
    return value


def from_torch_module_or_tensor(value: torch.nn.Module | torch.Tensor) -> bytes:
    """The archive of either."""
    import torch

    return from_torch_tensor(value) if isinstance(value, torch.Tensor) else from_torch_module(value)


def to_torch_module_or_tensor(content: bytes) -> torch.nn.Module | torch.Tensor:
    """What the archive holds, on the CPU.

    Raises:
        ValueError: the bytes hold neither a module nor a tensor.
    """
    value = _load(content)
    import torch

    if not isinstance(value, (torch.nn.Module, torch.Tensor)):
        raise ValueError(f"The file holds a {type(value).__name__}, neither a torch.nn.Module nor a tensor.")
    return value


def _load(content: bytes) -> object:
    import torch

    buffer = io.BytesIO(content)
    try:
        if _is_scripted(content):
            return torch.jit.load(buffer, map_location="cpu")  # type: ignore[no-untyped-call]  # it has types in part
        return torch.load(buffer, map_location="cpu", weights_only=False)
    except UNREADABLE as error:
        raise ValueError(f"The file cannot be loaded: {error}") from error


def _is_scripted(content: bytes) -> bool:
    """TorchScript archives have their constants in a record of its own."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False
