"""One small run of everything, so that behind the walls nothing is left to import."""

from __future__ import annotations

import importlib
import inspect
import io
import linecache
import logging
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fl_server_ai.inference.sandboxed.encode import encode
from fl_server_ai.inference.sandboxed.mean import mean_module
from fl_server_ai.inference.sandboxed.predict import predict
from fl_server_ai.inference.sandboxed.statistics import layer_statistics
from fl_server_ai.sandbox.tasks import Arrays, Options
from fl_server_core.registry import uncertainty_methods

if TYPE_CHECKING:
    import torch

    from fl_server_ai.inference.sandboxed.predict import Models

logger = logging.getLogger(__name__)


def warm_up() -> None:
    """Every task, every method and every kind of input once, on models of a few bytes."""
    import torch

    uncertainty_methods.load_entry_points()
    Image.init()
    importlib.import_module("PIL.ImageCms")  # conversions from LAB import it when they are asked for
    _remember_source(torch.nn.Module)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 2), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(4, 2)
    ).eval()
    for model in (layers, torch.jit.script(layers)):
        for method in uncertainty_methods:
            _ask(model, method)
        layer_statistics({"model": model}, {}, {"input_shape": [None, 3, 2, 2]})
    mean_module({"0": torch.jit.script(layers)}, {}, {})
    for kind in ("binary", "torch"):
        encode({}, {"inference": np.zeros(1)}, {"measures": [], "format": kind})


def _ask(model: torch.nn.Module, method: str) -> None:
    import torch

    one_row: Models = {"0": model, "preprocessing": torch.nn.Unflatten(0, (1, 3))}
    inputs: list[tuple[Models, Arrays]] = [
        (one_row, {"image": np.frombuffer(_png(), np.uint8)}),
        ({"0": model}, {"input": np.zeros((1, 3, 2, 2), np.float32)}),
    ]
    count = sum(parameter.numel() for parameter in model.parameters())
    moments = {"first_moment": np.zeros(count), "second_moment": np.ones(count)}
    options: Options = {"method": method, "uncertainty": {"softmax": True}, "input_shape": None, "seed": 0}
    for models, arrays in inputs:
        try:
            predict(models, {**arrays, **moments}, options)
        # A method may come from another package. If it fails on these models, it may still work on others.
        except Exception:
            logger.warning("The uncertainty method %s fails in a trial run.", method, exc_info=True)


def _remember_source(of_class: type) -> None:
    """torch.jit.script reads the source of a class. linecache forgets a file that it cannot look at any more, unless
    the time of the file is unknown."""
    path = inspect.getfile(of_class)
    lines = linecache.getlines(path)
    linecache.cache[path] = (sum(map(len, lines)), None, lines, path)


def _png() -> bytes:
    image = io.BytesIO()
    Image.new("RGB", (2, 2)).save(image, "PNG")
    return image.getvalue()
