"""What a sandboxed process can be asked to do: functions of models, arrays and options, by name."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fl_server_ai.inference.exceptions import InputShapeMismatch, InvalidInput
from fl_server_ai.inference.sandbox import images, mean, statistics
from fl_server_ai.inference.sandbox.channel import Array
from fl_server_ai.inference.sandbox.job import PREPROCESSING
from fl_server_ai.uncertainty.base import Subject, UncertaintyOptions
from fl_server_ai.uncertainty.methods import UNCERTAINTY_CLASSES

if TYPE_CHECKING:
    import torch

    Models = Mapping[str, torch.nn.Module]

Arrays = Mapping[str, Array]
Options = Mapping[str, Any]
Result = tuple[dict[str, Any], dict[str, Array]]

INFERENCE, UNCERTAINTY = "inference", "uncertainty."


def predict(models: Models, arrays: Arrays, options: Options) -> Result:
    """Ask a model, or the members of an ensemble.

    models: the members, named 0, 1, … in order; `preprocessing` if all have the same one, else `preprocessing0`, … of
    those that have one. arrays: `input`, or `image` as bytes; `first_moment` and `second_moment`. options: method, N,
    softmax, scale, input_shape, seed.
    Answers with the arrays `inference` and `uncertainty.<measure>`; `measures` names them, also those that are None.
    """
    given, shape = _input(arrays), options["input_shape"]
    members = {name: model for name, model in models.items() if not name.startswith(PREPROCESSING)}
    inputs = _preprocessed(models.get(PREPROCESSING), given)
    member_inputs = []
    if len(models) > len(members) and PREPROCESSING not in models:
        member_inputs = [_preprocessed(models.get(PREPROCESSING + name), given) for name in members]
    for asked in member_inputs or [inputs]:
        check_shape(tuple(asked.shape), shape)
    subject = Subject(
        members=list(members.values()),
        member_inputs=member_inputs,
        first_moment=_moment(arrays, "first_moment"),
        second_moment=_moment(arrays, "second_moment"),
        seed=options.get("seed"),
    )
    wanted = UncertaintyOptions(N=options["N"], softmax=options["softmax"], scale=options["scale"])
    inference, uncertainty = UNCERTAINTY_CLASSES[options["method"]].predict(inputs, subject, wanted)
    found = {UNCERTAINTY + name: value.numpy() for name, value in uncertainty.items() if value is not None}
    return {"measures": list(uncertainty)}, {INFERENCE: inference.numpy(), **found}


def layer_statistics(models: Models, _arrays: Arrays, options: Options) -> Result:
    """models: `model`. options: input_shape. Answers with `statistics`."""
    return {"statistics": statistics.layer_statistics(models["model"], options["input_shape"])}, {}


def mean_module(models: Models, _arrays: Arrays, _options: Options) -> Result:
    """models: the members. Answers with the array `file`, the bytes of a TorchScript archive."""
    return {}, {"file": np.frombuffer(mean.mean_module_file(list(models.values())), dtype=np.uint8)}


def encode(_models: Models, arrays: Arrays, options: Options) -> Result:
    """An answer of `predict` as a file: a pickled dict of tensors, or one that torch.load reads.

    A task of its own, for a process that has never run a model: who unpickles an answer trusts it.

    options: measures, as `predict` answered; format, `binary` or `torch`. Answers with the array `file`.
    """
    import torch

    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    measures = {name: tensors.get(UNCERTAINTY + name) for name in options["measures"]}
    answer = {"inference": tensors[INFERENCE], "uncertainty": measures}
    if options["format"] == "binary":
        content = pickle.dumps(answer)
    else:
        buffer = io.BytesIO()
        torch.save(answer, buffer)
        content = buffer.getvalue()
    return {}, {"file": np.frombuffer(content, dtype=np.uint8)}


TASKS: dict[str, Callable[[Any, Arrays, Options], Result]] = {
    "predict": predict,
    "layer_statistics": layer_statistics,
    "mean_module": mean_module,
    "encode": encode,
}


def _input(arrays: Arrays) -> torch.Tensor:
    import torch

    if "image" not in arrays:
        return torch.from_numpy(arrays["input"])
    try:
        return images.image_tensor(arrays["image"].tobytes())
    except ValueError as error:
        raise InvalidInput(str(error)) from error


def _preprocessed(preprocessing: torch.nn.Module | None, given: torch.Tensor) -> torch.Tensor:
    import torch

    if preprocessing is None:
        return given
    with torch.no_grad():
        inputs = preprocessing(given.clone())
    if not isinstance(inputs, torch.Tensor):
        raise ValueError(f"The preprocessing makes a {type(inputs).__name__} of the input, not a tensor.")
    return inputs


def check_shape(shape: tuple[int, ...], input_shape: list[int | None] | None) -> None:
    """Compare dimension by dimension as far as both go; None is free. Raises InputShapeMismatch."""
    if any(wanted is not None and size != wanted for size, wanted in zip(shape, input_shape or [], strict=False)):
        raise InputShapeMismatch


def _moment(arrays: Arrays, name: str) -> torch.Tensor | None:
    import torch

    return torch.from_numpy(arrays[name]) if name in arrays else None
