"""The layers of a model and what they cost, as torchinfo counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MAX_LAYERS = 10_000
LAYER_ID = "layer_id"
TOTALS = (
    "total_input", "total_mult_adds", "total_output_bytes", "total_param_bytes", "total_params", "trainable_params",
)  # fmt: skip
ROW = (
    "class_name", "depth", "depth_index", "executed", "var_name", "is_leaf_layer", "contains_lazy_param",
    "is_recursive", "input_size", "output_size", "kernel_size", "trainable_params", "num_params", "param_bytes",
    "output_bytes", "macs",
)  # fmt: skip


def layer_statistics(model: torch.nn.Module, input_shape: list[int | None]) -> dict[str, Any]:
    """Totals and one row a layer, as plain JSON; a free dimension counts as 1. Runs the model once.

    A layer_id tells layers apart within one answer and means nothing beyond it.

    Raises:
        ValueError: the model has more than MAX_LAYERS layers; torchinfo's RuntimeError goes through.
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
