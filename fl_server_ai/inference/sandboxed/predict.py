"""Asking a model, or the members of an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fl_server_ai.inference.names import INFERENCE, PREPROCESSING, UNCERTAINTY
from fl_server_ai.inference.sandboxed.images import image_tensor
from fl_server_ai.sandbox import InvalidInput, WrongShape
from fl_server_ai.sandbox.devices import CPU, current_device
from fl_server_ai.sandbox.tasks import Arrays, Options, Result
from fl_server_ai.uncertainty import Subject, get_uncertainty_class

if TYPE_CHECKING:
    import torch

    Models = Mapping[str, torch.nn.Module]


def predict(models: Models, arrays: Arrays, options: Options) -> Result:
    """Ask a model, or the members of an ensemble.

    models: the members, named 0, 1, … in order; `preprocessing` if all have the same one, else `preprocessing0`, … of
    those that have one. arrays: `input`, or `image` as bytes; `first_moment` and `second_moment`. options: method,
    uncertainty (the method's options), input_shape, seed.
    Replies with the arrays `inference` and `uncertainty.<measure>`; `measures` names them, also those that are None.
    """
    method = get_uncertainty_class(options["method"])
    device = current_device()
    moved = models if device == CPU else {name: model.to(device) for name, model in models.items()}
    inputs, subject = _subject(moved, arrays, options, device)
    inference, uncertainty = method.predict(inputs, subject, method.Options(**options["uncertainty"]))
    found = {UNCERTAINTY + name: value.cpu().numpy() for name, value in uncertainty.items() if value is not None}
    return {"measures": list(uncertainty)}, {INFERENCE: inference.cpu().numpy(), **found}


def _subject(models: Models, arrays: Arrays, options: Options, device: str) -> tuple[torch.Tensor, Subject]:
    given, shape = _input(arrays).to(device), options["input_shape"]
    members = {name: model for name, model in models.items() if not name.startswith(PREPROCESSING)}
    inputs = _preprocessed(models.get(PREPROCESSING), given)
    member_inputs = []
    if len(models) > len(members) and PREPROCESSING not in models:
        member_inputs = [_preprocessed(models.get(PREPROCESSING + name), given) for name in members]
    for asked in member_inputs or [inputs]:
        check_shape(tuple(asked.shape), shape)
    return inputs, Subject(
        members=list(members.values()),
        member_inputs=member_inputs,
        first_moment=_moment(arrays, "first_moment"),
        second_moment=_moment(arrays, "second_moment"),
        seed=options.get("seed"),
    )


def _input(arrays: Arrays) -> torch.Tensor:
    import torch

    if "image" not in arrays:
        return torch.from_numpy(arrays["input"])
    try:
        return image_tensor(arrays["image"].tobytes())
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
    """Compare dimension by dimension as far as both go; None is free. Raises WrongShape."""
    expected = input_shape or []
    if any(wanted is not None and size != wanted for size, wanted in zip(shape, expected, strict=False)):
        raise WrongShape(
            f"{WrongShape.sentence} What reaches the model has the shape {_written(shape)}; "
            f"its input_shape is {_written(expected)}, in which ? is free."
        )


def _written(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def _moment(arrays: Arrays, name: str) -> torch.Tensor | None:
    import torch

    return torch.from_numpy(arrays[name]) if name in arrays else None
