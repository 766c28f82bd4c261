"""One module of every kind that torch.nn has."""

import inspect
import warnings
from collections.abc import Callable

import torch
from torch import nn

_ARGUMENTS: dict[str, tuple[object, ...]] = {
    "AdaptiveAvgPool1d": (2,),
    "AdaptiveAvgPool2d": (2,),
    "AdaptiveAvgPool3d": (2,),
    "AdaptiveLogSoftmaxWithLoss": (8, 10, [4]),
    "AdaptiveMaxPool1d": (2,),
    "AdaptiveMaxPool2d": (2,),
    "AdaptiveMaxPool3d": (2,),
    "AvgPool1d": (2,),
    "AvgPool2d": (2,),
    "AvgPool3d": (2,),
    "BatchNorm1d": (4,),
    "BatchNorm2d": (4,),
    "BatchNorm3d": (4,),
    "Bilinear": (3, 4, 5),
    "ChannelShuffle": (2,),
    "CircularPad1d": (1,),
    "CircularPad2d": (1,),
    "CircularPad3d": (1,),
    "ConstantPad1d": (1, 0.5),
    "ConstantPad2d": (1, 0.5),
    "ConstantPad3d": (1, 0.5),
    "Conv1d": (2, 3, 2),
    "Conv2d": (2, 3, 2),
    "Conv3d": (2, 3, 2),
    "ConvTranspose1d": (2, 3, 2),
    "ConvTranspose2d": (2, 3, 2),
    "ConvTranspose3d": (2, 3, 2),
    "CrossMapLRN2d": (2,),
    "Embedding": (6, 3),
    "EmbeddingBag": (6, 3),
    "Fold": ((4, 4), 2),
    "FractionalMaxPool2d": (2, 2),
    "FractionalMaxPool3d": (2, 2),
    "GRU": (3, 4, 2),
    "GRUCell": (3, 4),
    "GroupNorm": (2, 4),
    "InstanceNorm1d": (4,),
    "InstanceNorm2d": (4,),
    "InstanceNorm3d": (4,),
    "LPPool1d": (2, 2),
    "LPPool2d": (2, 2),
    "LPPool3d": (2, 2),
    "LSTM": (3, 4, 2),
    "LSTMCell": (3, 4),
    "LayerNorm": (4,),
    "LazyConv1d": (3, 2),
    "LazyConv2d": (3, 2),
    "LazyConv3d": (3, 2),
    "LazyConvTranspose1d": (3, 2),
    "LazyConvTranspose2d": (3, 2),
    "LazyConvTranspose3d": (3, 2),
    "LazyLinear": (3,),
    "Linear": (3, 4),
    "LinearCrossEntropyLoss": (3, 4),
    "LocalResponseNorm": (2,),
    "MaxPool1d": (2,),
    "MaxPool2d": (2,),
    "MaxPool3d": (2,),
    "MaxUnpool1d": (2,),
    "MaxUnpool2d": (2,),
    "MaxUnpool3d": (2,),
    "MultiheadAttention": (4, 2),
    "NLLLoss2d": (),
    "PixelShuffle": (2,),
    "PixelUnshuffle": (2,),
    "RMSNorm": (4,),
    "RNN": (3, 4, 2),
    "RNNBase": ("LSTM", 3, 4),
    "RNNCell": (3, 4),
    "RNNCellBase": (3, 4, True, 4),
    "ReflectionPad1d": (1,),
    "ReflectionPad2d": (1,),
    "ReflectionPad3d": (1,),
    "ReplicationPad1d": (1,),
    "ReplicationPad2d": (1,),
    "ReplicationPad3d": (1,),
    "SyncBatchNorm": (4,),
    "Threshold": (0.1, 20.0),
    "Transformer": (4, 2, 1, 1, 8),
    "TransformerDecoderLayer": (4, 2, 8),
    "TransformerEncoderLayer": (4, 2, 8),
    "Unflatten": (1, (2, 2)),
    "Unfold": (2,),
    "ZeroPad1d": (1,),
    "ZeroPad2d": (1,),
    "ZeroPad3d": (1,),
}

_MAKERS: dict[str, Callable[[], nn.Module]] = {
    "BCELoss": lambda: nn.BCELoss(weight=torch.rand(3)),
    "DataParallel": lambda: nn.DataParallel(nn.Linear(2, 2)),
    "ModuleDict": lambda: nn.ModuleDict({"first": nn.Linear(2, 3), "second": nn.ReLU()}),
    "ModuleList": lambda: nn.ModuleList([nn.Linear(2, 3), nn.BatchNorm1d(3)]),
    "ParameterDict": lambda: nn.ParameterDict({"a": torch.rand(2), "b": torch.rand(2, 2)}),
    "ParameterList": lambda: nn.ParameterList([torch.rand(2), torch.rand(2, 2)]),
    "Sequential": lambda: nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())),
    "TransformerDecoder": lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 2),
    "TransformerEncoder": lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(4, 2, 8), 2, enable_nested_tensor=False
    ),
}

LAYERS = sorted(name for name, value in vars(nn).items() if inspect.isclass(value) and issubclass(value, nn.Module))


def make(name: str) -> nn.Module:
    with warnings.catch_warnings():  # of deprecated layers, and of fast paths that are not taken
        warnings.simplefilter("ignore")
        if name in _MAKERS:
            return _MAKERS[name]()
        module: nn.Module = getattr(nn, name)(*_ARGUMENTS.get(name, ()))
        return module


def is_lazy(module: nn.Module) -> bool:
    return type(module).__name__.startswith("Lazy")
