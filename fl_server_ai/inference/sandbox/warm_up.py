"""What the zygote does before it forks: imports, and one small run of everything, so that nothing is left to import."""

from __future__ import annotations

import importlib
import inspect
import io
import linecache
import pkgutil
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fl_server_ai.inference.sandbox.loading import load_module
from fl_server_ai.inference.sandbox.policy import has_torchvision, trusted_modules
from fl_server_ai.inference.sandbox.tasks import TASKS, Arrays
from fl_server_ai.uncertainty.methods import UNCERTAINTY_CLASSES

if TYPE_CHECKING:
    import torch

    from fl_server_ai.inference.sandbox.tasks import Models


def import_trusted(names: Collection[str]) -> None:
    """The modules of trusted names, and all of trusted packages.

    Raises:
        ImportError: the operator trusts what is not there.
    """
    for owner in trusted_modules(names):
        module = importlib.import_module(owner)
        if f"{owner}.*" in names and hasattr(module, "__path__"):
            for found in pkgutil.walk_packages(module.__path__, f"{owner}."):
                importlib.import_module(found.name)


def run_every_task() -> None:
    """Every task and every kind of input once, on models of a few bytes."""
    import torch

    Image.init()
    importlib.import_module("PIL.ImageCms")  # conversions from LAB import it when they are asked for
    _remember_source(torch.nn.Module)
    if has_torchvision():
        importlib.import_module("torchvision.transforms.v2")
        importlib.import_module("torchvision.models")
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 2), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(4, 2)
    )
    for model in (layers, torch.jit.script(layers)):
        _run_on(load_module(_saved(model), ()))
    TASKS["mean_module"]({"0": torch.jit.script(layers)}, {}, {})


def _run_on(model: torch.nn.Module) -> None:
    import torch

    one_row: Models = {"0": model, "preprocessing": torch.nn.Unflatten(0, (1, 3))}
    inputs: list[tuple[Models, Arrays]] = [
        (one_row, {"image": np.frombuffer(_png(), np.uint8)}),
        ({"0": model}, {"input": np.zeros((1, 3, 2, 2), np.float32)}),
    ]
    count = sum(parameter.numel() for parameter in model.parameters())
    moments = {"first_moment": np.zeros(count), "second_moment": np.ones(count)}
    options = {"N": 2, "softmax": True, "scale": 1.0, "input_shape": None, "seed": 0}
    for method in UNCERTAINTY_CLASSES:
        for models, arrays in inputs:
            result, answer = TASKS["predict"](models, {**arrays, **moments}, {**options, "method": method})
    for kind in ("binary", "torch"):
        TASKS["encode"]({}, answer, {**result, "format": kind})
    TASKS["layer_statistics"]({"model": model}, {}, {"input_shape": [None, 3, 2, 2]})


def _remember_source(of_class: type) -> None:
    """torch.jit.script reads the source of a class. linecache forgets a file that it cannot look at any more, unless
    the time of the file is not known."""
    path = inspect.getfile(of_class)
    lines = linecache.getlines(path)
    linecache.cache[path] = (sum(map(len, lines)), None, lines, path)


def _png() -> bytes:
    image = io.BytesIO()
    Image.new("RGB", (2, 2)).save(image, "PNG")
    return image.getvalue()


def _saved(model: torch.nn.Module) -> bytes:
    import torch

    buffer = io.BytesIO()
    if isinstance(model, torch.jit.ScriptModule):
        torch.jit.save(model, buffer)
    else:
        torch.save(model, buffer)
    return buffer.getvalue()
