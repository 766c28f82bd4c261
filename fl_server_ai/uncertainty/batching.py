"""N passes as one: the same input N times in one batch, where that gives the same distribution.

It does where no layer lets the rows of a batch meet, and every layer draws its own random numbers for every row. That
is known of torch's own layers in a chain. For other code, scripted or not, it is unknown, and nobody would see a wrong
guess in the result: those models are asked N times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Layers of torch.nn, by exact type, that treat each row by itself whatever their arguments.
_ROW_WISE = (
    "Identity", "Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d",
    "MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout",
    "FeatureAlphaDropout", "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid",
    "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh", "GroupNorm",
    "LayerNorm", "ZeroPad2d", "Upsample", "Embedding",
)  # fmt: skip


def repeated_pass(model: torch.nn.Module, inputs: torch.Tensor, count: int) -> torch.Tensor | None:
    """`count` outputs for the same input from one pass, shape (count, *output). None where one pass is not enough."""
    import torch

    if inputs.ndim < 2 or not _keeps_rows_apart(model):
        return None
    try:
        output = model(inputs.repeat(count, *[1] * (inputs.ndim - 1)))
    except RuntimeError:
        # The input has no batch dimension after all, or so many rows do not fit into memory.
        return None
    if not isinstance(output, torch.Tensor) or output.ndim < 2 or len(output) != count * len(inputs):
        return None
    return output.detach().reshape(count, len(inputs), *output.shape[1:])


def _keeps_rows_apart(module: torch.nn.Module) -> bool:
    from torch import nn

    if _has_hooks(module):
        return False
    if type(module) is nn.Sequential:
        return all(_keeps_rows_apart(child) for child in module)
    match module:
        case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.BatchNorm3d():
            return module.track_running_stats and not module.training
        case nn.Flatten():
            return module.start_dim >= 1
        case nn.Softmax() | nn.LogSoftmax():
            return module.dim is not None and (module.dim >= 1 or module.dim == -1)
        case _:
            return type(module) in {getattr(nn, name) for name in _ROW_WISE}


def _has_hooks(module: torch.nn.Module) -> bool:
    """Does the module do more than its class says: spectral norm, say?"""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))
