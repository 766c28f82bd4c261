"""Model files: reads the actor's model and writes an update in the same format.

There are two formats: a TorchScript archive (`torch.jit.save`) or a pickled `torch.nn.Module` (`torch.save`).
"""

from __future__ import annotations

import inspect
import io
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch

from .errors import UnreadableModel


def is_scripted(data: bytes) -> bool:
    """Whether a file is a TorchScript archive, which has a table of constants, and not a pickle."""
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except zipfile.BadZipFile as error:
        raise UnreadableModel("the file is not a zip archive written by torch") from error
    return any(name.endswith("/constants.pkl") for name in names)


def load_model(data: bytes, *, trust: bool = False) -> torch.nn.Module:
    """Load a model file, tensors on the CPU.

    This function decides how far a participant trusts the actor. A TorchScript model is a program, but in a
    restricted language that can't start a process. A pickle can name any Python function. So only the
    layers and functions of `torch.nn` are allowed. A module of other classes needs `trust`, which runs whatever the
    file contains. The server copies the tensors of every update into the actor's own file, so the code in it is always
    the actor's, never another participant's.
    """
    buffer = io.BytesIO(data)
    try:
        if is_scripted(data):
            with _torchscript():
                module = torch.jit.load(buffer, map_location="cpu")  # type: ignore[no-untyped-call]
        elif trust:
            module = torch.load(buffer, map_location="cpu", weights_only=False)
        else:
            module = torch.load(buffer, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, AttributeError, ImportError) as error:
        raise UnreadableModel(f"the model file cannot be loaded: {error}") from error
    if not isinstance(module, torch.nn.Module):
        raise UnreadableModel(f"the file holds a {type(module).__name__}, not a module")
    return module


def save_model(module: torch.nn.Module) -> bytes:
    """Write a module in the format that `load_model` read."""
    buffer = io.BytesIO()
    if isinstance(module, torch.jit.ScriptModule):
        with _torchscript():
            torch.jit.save(module, buffer)
    else:
        torch.save(module, buffer)
    return buffer.getvalue()


def save_tensor(tensor: Any) -> bytes:
    """Write a single tensor, the format of SWAG moments. Takes arrays, too."""
    buffer = io.BytesIO()
    torch.save(torch.as_tensor(tensor), buffer)
    return buffer.getvalue()


def script(module: torch.nn.Module) -> torch.jit.ScriptModule:
    """Compile a module to TorchScript."""
    with _torchscript():
        scripted = torch.jit.script(module)
    return cast(torch.jit.ScriptModule, scripted)


@contextmanager
def _torchscript() -> Iterator[None]:
    """Silence torch's deprecation warning: TorchScript files are part of the API."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=r"`torch\.jit\.")
        yield


def _torch_nn_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """All layer classes of torch.nn and all functions of torch.nn.functional (some layers hold one)."""
    functions = [
        value
        for name, value in inspect.getmembers(torch.nn.functional, inspect.isfunction)
        if value.__module__ == "torch.nn.functional" and not name.startswith("_")
    ]
    return [*_layers(torch.nn.Module), *functions, OrderedDict, set]


def _layers(base: type[torch.nn.Module]) -> Iterator[type[torch.nn.Module]]:
    for layer in base.__subclasses__():
        if layer.__module__.startswith("torch.nn.modules."):
            yield layer
            yield from _layers(layer)


# Once for the whole process: torch keeps one list for all threads. Its context manager `safe_globals` would remove
# entries while another thread is loading.
torch.serialization.add_safe_globals(_torch_nn_globals())
