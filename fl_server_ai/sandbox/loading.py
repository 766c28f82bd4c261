"""Models in a sandboxed process: loaded from bytes, kept while there is room."""

from __future__ import annotations

import importlib
import io
from collections import OrderedDict
from collections.abc import Collection
from typing import TYPE_CHECKING

from fl_server_ai.sandbox.errors import ModelRunError, NeedsAllWalls
from fl_server_ai.sandbox.policy import check_runnable, has_torchvision
from fl_server_core.archive import ArchiveKind

if TYPE_CHECKING:
    import torch


def load_module(
    content: bytes | bytearray, trusted: Collection[str] = (), failed: Collection[str] = (), *, may_script: bool = True
) -> torch.nn.Module:
    """The module of an archive, on the CPU, in evaluation mode. Runs its code.

    Raises:
        NeedsAllWalls: it is TorchScript, and `may_script` is false.
        ModelRunError: the file holds no module, or names what may not or cannot be imported. What torch raises goes
            through.
    """
    import torch

    if check_runnable(memoryview(content), trusted, failed) == ArchiveKind.SCRIPT:
        if not may_script:
            raise NeedsAllWalls("TorchScript runs only where all walls stand.")
        module = torch.jit.load(io.BytesIO(content), map_location="cpu")  # type: ignore[no-untyped-call]  # it has types in part
    else:
        module = torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)
    if not isinstance(module, torch.nn.Module):
        raise ModelRunError(f"The file holds a {type(module).__name__}, not a torch.nn.Module.")
    return module.eval()


class ModelCache:
    """Loaded models by key; the least recently used go when their files together exceed `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._models: OrderedDict[str, tuple[torch.nn.Module, int]] = OrderedDict()

    def get(self, key: str) -> torch.nn.Module | None:
        """The model, now the most recently used one."""
        if key not in self._models:
            return None
        self._models.move_to_end(key)
        return self._models[key][0]

    def put(self, key: str, model: torch.nn.Module, size: int) -> None:
        """Keep the model of a file of `size` bytes, unless it alone is larger than the limit."""
        if size > self._limit or key in self._models:
            return
        self._models[key] = (model, size)
        self._size += size
        while self._size > self._limit:
            _, (_, freed) = self._models.popitem(last=False)
            self._size -= freed


def warm_up() -> None:
    """Load a model of each kind, so that torch imports here what it imports when it is first used."""
    import torch

    if has_torchvision():
        importlib.import_module("torchvision.transforms.v2")
        importlib.import_module("torchvision.models")
    layer = torch.nn.Linear(1, 1)
    pickled, scripted = io.BytesIO(), io.BytesIO()
    torch.save(layer, pickled)
    torch.jit.save(torch.jit.script(layer), scripted)
    for file in (pickled, scripted):
        load_module(file.getvalue())(torch.zeros(1, 1))
