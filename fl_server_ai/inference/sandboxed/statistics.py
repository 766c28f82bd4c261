"""The layers of a model and what they cost, as torchinfo counts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fl_server_ai.inference.names import LAYER_ID, ROW, TOTALS
from fl_server_ai.sandbox.tasks import Arrays, Options, Result

if TYPE_CHECKING:
    import torch

MAX_LAYERS = 10_000


def layer_statistics(models: Mapping[str, torch.nn.Module], _arrays: Arrays, options: Options) -> Result:
    """models: `model`. options: input_shape. Replies with `statistics`."""
    return {"statistics": statistics_of(models["model"], options["input_shape"])}, {}


def statistics_of(model: torch.nn.Module, input_shape: list[int | None]) -> dict[str, Any]:
    """Totals and one row a layer, as plain JSON; a free dimension counts as 1. Runs the model once.

    A layer_id tells layers apart within one reply and means nothing beyond it.

    Raises:
        ValueError: the model has more than MAX_LAYERS layers. torchinfo's RuntimeError goes through.
    """
    import torchinfo

    if sum(1 for _ in zip(model.modules(), range(MAX_LAYERS + 1), strict=False)) > MAX_LAYERS:
        raise ValueError(f"The model has more than {MAX_LAYERS} layers.")
    shape = [1 if size is None else size for size in input_shape]
    found = torchinfo.summary(model, input_size=[shape], verbose=0, device="cpu")
    names: dict[int, int] = {}
    rows = [
        {
            LAYER_ID: names.setdefault(layer.layer_id, len(names)),
            **{key: _plain(getattr(layer, key)) for key in ROW},
        }
        for layer in found.summary_list
    ]
    return {"input_size": [shape], **{key: getattr(found, key) for key in TOTALS}, "summary_list": rows}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value
