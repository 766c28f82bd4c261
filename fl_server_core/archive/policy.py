"""Which names in a pickled model are torch's own, so that loading the model brings in no one else's code.

The lists are explicit on purpose. A rule such as "anything in torch.nn" would let in what those modules have imported
for themselves, and with it a way to call anything.
"""

from collections.abc import Collection

from fl_server_core.archive.archive import Archive
from fl_server_core.archive.description import ArchiveKind
from fl_server_core.archive.dtypes import DTYPES, STORAGE_DTYPES


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_LAYERS = {
    "activation": (
        "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax Mish "
        "MultiheadAttention PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmax2d Softmin Softplus "
        "Softshrink Softsign Tanh Tanhshrink Threshold"
    ),
    "adaptive": "AdaptiveLogSoftmaxWithLoss",
    "batchnorm": "BatchNorm1d BatchNorm2d BatchNorm3d LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d SyncBatchNorm",
    "channelshuffle": "ChannelShuffle",
    "container": "Container ModuleDict ModuleList ParameterDict ParameterList Sequential",
    "conv": (
        "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d LazyConv1d LazyConv2d "
        "LazyConv3d LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d"
    ),
    "distance": "CosineSimilarity PairwiseDistance",
    "dropout": "AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout",
    "flatten": "Flatten Unflatten",
    "fold": "Fold Unfold",
    "instancenorm": (
        "InstanceNorm1d InstanceNorm2d InstanceNorm3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d"
    ),
    "linear": "Bilinear Identity LazyLinear Linear NonDynamicallyQuantizableLinear",
    "loss": (
        "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss "
        "HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss LinearCrossEntropyLoss MSELoss MarginRankingLoss "
        "MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss NLLLoss2d PoissonNLLLoss "
        "SmoothL1Loss SoftMarginLoss TripletMarginLoss TripletMarginWithDistanceLoss"
    ),
    "module": "Module",
    "normalization": "CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm",
    "padding": (
        "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d ReflectionPad1d "
        "ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d ZeroPad1d "
        "ZeroPad2d ZeroPad3d"
    ),
    "pixelshuffle": "PixelShuffle PixelUnshuffle",
    "pooling": (
        "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d "
        "AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d FractionalMaxPool2d FractionalMaxPool3d LPPool1d "
        "LPPool2d LPPool3d MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d"
    ),
    "rnn": "GRU GRUCell LSTM LSTMCell RNN RNNBase RNNCell RNNCellBase",
    "sparse": "Embedding EmbeddingBag",
    "transformer": (
        "Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer"
    ),
    "upsampling": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
}
_FUNCTIONS = _words(
    "celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid log_softmax logsigmoid mish "
    "prelu relu relu6 rrelu selu sigmoid silu softmax softmin softplus softshrink softsign tanh tanhshrink threshold "
    "abs cos erf exp identity log log1p sin sqrt square "
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d avg_pool1d avg_pool2d avg_pool3d "
    "alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout "
    "batch_norm instance_norm layer_norm group_norm normalize rms_norm "
    "cosine_similarity pairwise_distance linear interpolate one_hot pad "
    "binary_cross_entropy binary_cross_entropy_with_logits cross_entropy huber_loss kl_div l1_loss mse_loss nll_loss "
    "smooth_l1_loss"
)
_FUNCTION_OWNERS = ("torch._C._VariableFunctionsClass", "torch._C.TensorBase")
_REBUILDERS = _words("_rebuild_parameter _rebuild_parameter_with_state _rebuild_tensor_v2 _rebuild_tensor_v3")

_TORCH = frozenset(
    [f"torch.nn.modules.{module}.{name}" for module, names in _LAYERS.items() for name in _words(names)]
    + [f"{module}.{name}" for module in ("torch.nn.functional", "torch._C._nn") for name in _FUNCTIONS]
    + [f"torch.{name}" for name in (*DTYPES, *STORAGE_DTYPES, "Size", "device")]
    + [f"torch._utils.{name}" for name in _REBUILDERS]
    + [f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "frozenset")]
    + ["torch.storage.UntypedStorage", "torch.nn.parameter.Parameter", "torch.nn.parallel.data_parallel.DataParallel"]
    + ["collections.OrderedDict", *_FUNCTION_OWNERS]
)

_VISION_MODULES = frozenset(
    [
        f"torchvision.models.{name}"
        for name in _words(
            "alexnet convnext densenet efficientnet googlenet inception maxvit mnasnet mobilenetv2 mobilenetv3 regnet "
            "resnet shufflenetv2 squeezenet swin_transformer vgg vision_transformer"
        )
    ]
    + [f"torchvision.ops.{name}" for name in ("misc", "stochastic_depth", "drop_block")]
    + [f"torchvision.transforms.v2._{name}" for name in _words("color container geometry misc type_conversion")]
    + ["torchvision.transforms.transforms", "torchvision.transforms.functional"]
)
_VISION_EXCEPTIONS = frozenset({"Lambda", "Callable", "Any"})

_GETATTRS = frozenset({"builtins.getattr", "__builtin__.getattr"})
_NEVER_IMPLIED = frozenset({"builtins", "__builtin__"})


def foreign_globals(archive: Archive, trusted: Collection[str] = (), *, torchvision: bool = False) -> list[str]:
    """The names that loading the archive would import although they are neither torch's own nor trusted, sorted.

    `trusted` holds exact names as this function gives them ("package.module.Class") and prefixes ("package.*", which
    covers what the package's modules define or import, but no "module:Outer.Inner" and no Python builtins). With
    `torchvision`, that package's models and transforms count as torch's own. A use of getattr counts as the name
    "builtins.getattr(owner, attribute)". A TorchScript archive imports nothing.
    """
    if archive.kind is ArchiveKind.SCRIPT:
        return []
    names = {name for name in archive.globals if name not in _GETATTRS and not _is_own(name, torchvision=torchvision)}
    for owner, attribute in archive.attribute_calls:
        if owner not in _FUNCTION_OWNERS or attribute not in _FUNCTIONS:
            names.add(f"builtins.getattr({owner}, {attribute})")
    return sorted(name for name in names if not _is_trusted(name, trusted))


def _is_own(name: str, *, torchvision: bool) -> bool:
    if name in _TORCH:
        return True
    module, _, last = name.rpartition(".")
    # Classes of torchvision begin with a capital, as nothing does that those modules import and that could do harm.
    is_class = last.lstrip("_")[:1].isupper() and last not in _VISION_EXCEPTIONS
    return torchvision and module in _VISION_MODULES and is_class


def _is_trusted(name: str, trusted: Collection[str]) -> bool:
    if name in trusted:
        return "?" not in name
    if ":" in name or "(" in name or name.partition(".")[0] in _NEVER_IMPLIED:
        return False
    return any(entry.endswith(".*") and name.startswith(entry[:-1]) for entry in trusted)
