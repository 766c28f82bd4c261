"""Files of models with chosen values, and what a method makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fl_server_ai.aggregation import aggregate_files
from fl_server_core.archive import open_archive
from tests.builders.files import saved

Array = np.ndarray[Any, Any]


class Bag(nn.Module):
    """A module of these parameters and buffers."""

    def __init__(self, parameters: Mapping[str, torch.Tensor], buffers: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        for name, value in parameters.items():
            self.register_parameter(name, nn.Parameter(value, requires_grad=value.is_floating_point()))
        for name, value in buffers.items():
            self.register_buffer(name, value)


def bag(parameter: Sequence[complex], dtype: torch.dtype = torch.float32, **buffers: torch.Tensor) -> Bag:
    """A module whose parameter `w` has these values."""
    return Bag({"w": torch.tensor(parameter, dtype=dtype)}, buffers)


def written(folder: Path, models: Sequence[object], prefix: str = "update") -> list[Path]:
    """The models' files."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{prefix}{number}.pt" for number in range(len(models))]
    for path, model in zip(paths, models, strict=True):
        path.write_bytes(saved(model))
    return paths


def aggregated(folder: Path, models: Sequence[object], method: str, **arguments: Any) -> dict[str, Array]:
    """The arrays of the new model, by name."""
    weights = arguments.pop("weights", [1] * len(models))
    aggregate_files(written(folder, models), weights, folder / "new.pt", method, **arguments)
    return arrays(folder / "new.pt")


def arrays(path: Path) -> dict[str, Array]:
    with open_archive(path) as archive:
        archive.verify_checksums()
        return {name: np.array(archive.array(name)) for name in archive.tensors}
