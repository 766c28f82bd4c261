"""Asks a model: which method, which files, which options; the sandbox does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from fl_server_ai.inference.configured import get_sandbox
from fl_server_ai.inference.decode import ModelInput
from fl_server_ai.inference.exceptions import ModelRunError
from fl_server_ai.inference.sandbox import Answer, Job
from fl_server_ai.inference.sandbox.channel import Array
from fl_server_ai.inference.sources import model_sources, moments, preprocessing_sources, tenant_of
from fl_server_ai.uncertainty import UncertaintyOptions
from fl_server_core.models.model import MeanModel, Model
from fl_server_core.models.training import UncertaintyMethod
from fl_server_core.models.user import User
from fl_server_core.selectors.models import global_of

FileFormat = Literal["binary", "torch"]
# Lists of Python numbers take some thirty times the memory of an array, and are made outside of the sandbox.
MAX_JSON_NUMBERS = 1_000_000
MEASURES = ("variance", "std", "predictive_entropy", "expected_entropy", "mutual_info")


@dataclass(frozen=True)
class Prediction:
    """inference: what the model says. uncertainty: measures by name; None where a single sample has none."""

    inference: Array
    uncertainty: Mapping[str, Array | None]

    def to_json(self) -> dict[str, Any]:
        """Nested lists; null for what is no finite number.

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

        Raises:
            SandboxBusy: torch, which writes it, is not in this process.
        """
        arrays = {name: value for name, value in self.uncertainty.items() if value is not None}
        job = Job(
            "encode",
            arrays={"inference": self.inference, **{f"uncertainty.{name}": value for name, value in arrays.items()}},
            options={"measures": list(self.uncertainty), "format": kind},
        )
        return get_sandbox().run_clean(job).arrays["file"].tobytes()


def predict(*, user: User, model: Model, model_input: ModelInput, number: int | None = None) -> Prediction:
    """Ask a model that the user may read, or one of its versions, with the uncertainty method of its training.

    Without a training: ENSEMBLE for a mean model, NONE for any other.

    Raises:
        ModelRunError: the model cannot be run, or not on this input.
        InputShapeMismatch: the input, preprocessed, does not fit the model's input_shape.
        InvalidInput: the image cannot be read.
        InvalidRequest, Gone: no such version, or its file is no longer kept.
        SandboxBusy: too many others ask.
    """
    base = global_of(model)
    training = model.get_training()
    options = UncertaintyOptions.from_training(training.options if training else {})
    method = UncertaintyMethod.NONE if training is None else UncertaintyMethod(training.uncertainty_method)
    if isinstance(model, MeanModel):
        method = UncertaintyMethod.ENSEMBLE
    job = Job(
        "predict",
        models=[*model_sources(model, number), *preprocessing_sources(base)],
        arrays={**model_input.arrays, **(moments(model, number) if method == UncertaintyMethod.SWAG else {})},
        options={"method": method.value, "input_shape": base.input_shape, **asdict(options)},
    )
    return _prediction(get_sandbox().run(job, tenant=tenant_of(base, user)))


def _prediction(answer: Answer) -> Prediction:
    """What a process that ran somebody's model says, as far as it can be an answer at all."""
    said = answer.result.get("measures")
    if "inference" not in answer.arrays or not isinstance(said, list):
        raise ModelRunError("The model's answer was refused. It has no inference.")
    measures = {name: answer.arrays.get(f"uncertainty.{name}") for name in MEASURES if name in said}
    return Prediction(answer.arrays["inference"], measures)


def _lists(array: Array) -> Any:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    values = array.astype(object)
    values[~np.isfinite(array)] = None
    return values.tolist()
