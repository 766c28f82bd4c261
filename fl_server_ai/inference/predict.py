"""Asks a model: chooses method, files and options, and lets the sandbox do the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fl_server_ai.inference.decode import ModelInput
from fl_server_ai.inference.methods import method_of
from fl_server_ai.inference.names import ENCODE, INFERENCE, PREDICT, UNCERTAINTY
from fl_server_ai.inference.server_sandbox import run_clean, run_models
from fl_server_ai.inference.sources import model_sources, moments, number_with_moments, preprocessing_sources, tenant_of
from fl_server_ai.sandbox import Job, ModelRunError, Reply
from fl_server_ai.sandbox.channel import Array
from fl_server_ai.uncertainty import UncertaintyBase
from fl_server_core.models.model import Model, SWAGModel
from fl_server_core.models.user import User
from fl_server_core.selectors.models import global_of
from fl_server_core.trail import note_training

FileFormat = Literal["binary", "torch"]
# Lists of Python numbers take some thirty times the memory of an array, and are made outside the sandbox.
MAX_JSON_NUMBERS = 1_000_000


@dataclass(frozen=True)
class Prediction:
    """inference: what the model says. uncertainty: measures by name; None where a single sample has none."""

    inference: Array
    uncertainty: Mapping[str, Array | None]

    def to_json(self) -> dict[str, Any]:
        """Nested lists; null for infinities and NaN.

        Raises:
            ModelRunError: the answer has more numbers than MAX_JSON_NUMBERS.
        """
        measures = [value for value in self.uncertainty.values() if value is not None]
        numbers = sum(array.size for array in (self.inference, *measures))
        if numbers > MAX_JSON_NUMBERS:
            raise ModelRunError(
                f"The answer has {numbers} numbers; as JSON at most {MAX_JSON_NUMBERS} are given. "
                "Ask with return_format binary or torch."
            )
        return {
            "inference": _lists(self.inference),
            "uncertainty": {name: None if value is None else _lists(value) for name, value in self.uncertainty.items()},
        }

    def to_file(self, kind: FileFormat) -> bytes:
        """The same dict of tensors, pickled (`binary`) or as a file for torch.load(weights_only=True) (`torch`).

        Written in the sandbox, since torch is not in this process.

        Raises:
            SandboxBusy, SandboxFailed: the sandbox has no process for it.
        """
        arrays = {name: value for name, value in self.uncertainty.items() if value is not None}
        job = Job(
            ENCODE,
            arrays={INFERENCE: self.inference, **{UNCERTAINTY + name: value for name, value in arrays.items()}},
            options={"measures": list(self.uncertainty), "format": kind},
        )
        return run_clean(job).arrays["file"].tobytes()


def predict(
    *, user: User, model: Model, model_input: ModelInput, number: int | None = None, method_name: str | None = None
) -> Prediction:
    """Ask a model that the user may read, or one of its versions; by default with the method of its training.

    A mean of models is always asked by ENSEMBLE, any other model without a training by NONE.

    method_name: another method that fits the model.

    Raises:
        ModelRunError: the model cannot be run, or not on this input.
        InvalidInput: the image cannot be read, or the preprocessed input does not fit the model's input_shape.
        InvalidRequest, Gone: no such version, or its file is no longer kept; or the method does not fit the model.
        SandboxBusy: too many others ask. DeviceFailed: FL_INFERENCE_DEVICE names a device that can't be used.
    """
    base = global_of(model)
    training = model.get_training()
    note_training(training)
    method = method_of(model, method_name)
    options = method.Options.from_training(training.options if training else {})
    needs_moments = method.model_kind == SWAGModel.__name__
    if needs_moments:
        number = number_with_moments(model, number)
    job = Job(
        PREDICT,
        models=[*model_sources(model, number), *preprocessing_sources(base)],
        arrays={**model_input.arrays, **(moments(model, number) if needs_moments else {})},
        options={"method": method.name, "input_shape": base.input_shape, "uncertainty": options.model_dump()},
    )
    return _prediction(run_models(job, tenant=tenant_of(base, user)), method)


def _prediction(reply: Reply, method: type[UncertaintyBase]) -> Prediction:
    """The reply of a process that ran somebody's model, as far as it makes sense."""
    said = reply.result.get("measures")
    if INFERENCE not in reply.arrays or not isinstance(said, list):
        raise ModelRunError("The model's answer was refused. It has no inference.")
    measures = {name: reply.arrays.get(UNCERTAINTY + name) for name in method.measures if name in said}
    return Prediction(reply.arrays[INFERENCE], measures)


def _lists(array: Array) -> Any:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    values = array.astype(object)
    values[~np.isfinite(array)] = None
    return values.tolist()
