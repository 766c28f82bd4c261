"""Model files: reads what a coordinator uploaded, writes an update in the same format.

The format is one of two: a TorchScript archive (`torch.jit.save`) or a pickled `torch.nn.Module` (`torch.save`).
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
from typing import Any

import torch


class UnreadableModel(Exception):
    """The file is no model that this participant is willing to load."""


def is_scripted(data: bytes) -> bool:
    """Tell a TorchScript archive, which carries code and a table of constants, from a pickle."""
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except zipfile.BadZipFile as error:
        raise UnreadableModel("the file is no zip archive as torch writes it") from error
    return any(name.endswith("/constants.pkl") for name in names)


def load_model(data: bytes, *, trust: bool = False) -> torch.nn.Module:
    """Load a model file, tensors on the CPU.

    How far a participant trusts its coordinator is decided here. A TorchScript model is a program, but one in a small
    language that cannot start a process. A pickle can name any function of the Python that reads it: so only the
    layers and functions of `torch.nn` are let in, and a module of other classes needs `trust`, which runs whatever the
    file says. The server rewrites every update into the coordinator's own file, so the code in it is always the
    coordinator's, never that of another participant.
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
    """Write a module in the format in which `load_model` found it."""
    buffer = io.BytesIO()
    if isinstance(module, torch.jit.ScriptModule):
        with _torchscript():
            torch.jit.save(module, buffer)
    else:
        torch.save(module, buffer)
    return buffer.getvalue()


def save_tensor(tensor: torch.Tensor) -> bytes:
    """Write a single tensor, as SWAG moments are sent."""
    buffer = io.BytesIO()
    torch.save(tensor, buffer)
    return buffer.getvalue()


def script(module: torch.nn.Module) -> torch.jit.ScriptModule:
    """Compile a module to TorchScript."""
    with _torchscript():
        scripted = torch.jit.script(module)
    assert isinstance(scripted, torch.jit.ScriptModule)
    return scripted


@contextmanager
def _torchscript() -> Iterator[None]:
    """Silence torch's hint that TorchScript will not be developed further: its files are part of the wire."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=r"`torch\.jit\.")
        yield


def _torch_nn_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Every layer class of torch.nn and every function of torch.nn.functional (some layers keep one)."""
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


# Once and for the whole process: torch keeps one list for all threads, and its context manager `safe_globals` would
# take an entry away while another thread is loading.
torch.serialization.add_safe_globals(_torch_nn_globals())
