"""An actor's calls: upload models, set up trainings, watch them, ask for inferences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx

from .downloads import Progress
from .errors import MissingPackage
from .http import Client
from .uploads import Upload

if TYPE_CHECKING:
    import torch

ModelSource: TypeAlias = "torch.nn.Module | bytes | Path"


@dataclass(frozen=True)
class Inference:
    """The server's answer: tensors or numpy arrays if the input was one, otherwise nested lists.

    output: the class of each sample, or the mean of the samples' outputs with a method of uncertainty. uncertainty: the
    method's figures by name, such as variance or predictive_entropy; empty without a method.
    """

    output: Any
    uncertainty: dict[str, Any]


class Actor(Client):
    """The client of a user who owns models and trainings. Ids are texts."""

    def upload_model(
        self,
        model: ModelSource,
        name: str,
        *,
        description: str = "",
        kind: str = "GLOBAL",
        input_shape: Sequence[int | None] = (),
        preprocessing: ModelSource | None = None,
        progress: Progress | None = None,
    ) -> str:
        """Upload a model; return its id.

        Args:
            model: a module, or the file that torch wrote of one, as bytes or a path.
            kind: GLOBAL, or SWAG for the uncertainty method of this name.
            input_shape: of the model's input; None marks a free dimension.
            preprocessing: a module that the input of an inference goes through first.
            progress: called with the bytes of the model that were sent, and how many there are. A path is read while it
                is sent.
        """
        about = {
            "name": name,
            "description": description or name,
            "type": kind,
            "input_shape": [str(size) for size in input_shape],
        }
        with Upload.of(model if isinstance(model, Path) else _file_of(model), progress) as upload:
            files: dict[str, Any] = {"model_file": ("model.pt", upload)}
            if preprocessing is not None:
                files["model_preprocessing_file"] = ("preprocessing.pt", _file_of(preprocessing))
            return str(self.call("POST", "/models/", data=about, files=files).json()["model_id"])

    def mean_model(self, name: str, models: Sequence[str], *, description: str = "") -> str:
        """Create a mean model of other models, for the uncertainty method ENSEMBLE; return its id."""
        body = {"type": "MEAN", "name": name, "description": description or name, "models": list(models)}
        return str(self.call("POST", "/models/", json=body).json()["model_id"])

    def models(self) -> list[dict[str, Any]]:
        """The models that this user may see, oldest first."""
        return list(self.call("GET", "/models/").json())

    def versions(self, model_id: str) -> list[dict[str, Any]]:
        """The versions of a model, oldest first: version, size, sha256, name, metrics …"""
        return list(self.call("GET", f"/models/{model_id}/versions/").json())

    def restore(self, model_id: str, version: int) -> dict[str, Any]:
        """Make a new version with the file of an earlier one; return it."""
        return dict(self.call("POST", f"/models/{model_id}/versions/{version}/restore/").json())

    def describe_version(self, model_id: str, version: int, **values: Any) -> dict[str, Any]:
        """Set a version's `name` (a text) or `pinned` (a bool), which keep its file; return it."""
        self.call("PATCH", f"/models/{model_id}/versions/{version}/", json=values)
        return next(row for row in self.versions(model_id) if row["version"] == version)

    def users(self) -> list[dict[str, Any]]:
        """Every user: the participants of a training are chosen among them."""
        return list(self.call("GET", "/users/").json())

    def create_training(
        self,
        model_id: str,
        *,
        rounds: int,
        participants: Sequence[str] = (),
        aggregation: str = "FedAvg",
        uncertainty: str = "NONE",
        metrics: Sequence[str] = ("loss", "accuracy"),
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """Set up a training; return its id. participants: ids of users, who may have to agree first."""
        body = {
            "model_id": model_id,
            "target_num_updates": rounds,
            "metric_names": list(metrics),
            "aggregation_method": aggregation,
            "uncertainty_method": uncertainty,
            "options": dict(options or {}),
            "clients": list(participants),
        }
        return str(self.call("POST", "/trainings/", json=body).json()["training_id"])

    def trainings(self) -> list[dict[str, Any]]:
        """The trainings that this user is the actor of, oldest first."""
        return list(self.call("GET", "/trainings/").json())

    def invite(self, training_id: str, participants: Sequence[str]) -> None:
        """Add participants, or invite those who must agree first."""
        self.call("PUT", f"/trainings/{training_id}/clients/", json={"clients": list(participants)})

    def remove(self, training_id: str, participants: Sequence[str]) -> None:
        """Remove participants, or withdraw their invitations."""
        self.call("DELETE", f"/trainings/{training_id}/clients/", json={"clients": list(participants)})

    def start(self, training_id: str) -> None:
        """Start a training."""
        self.call("POST", f"/trainings/{training_id}/start/", json={})

    def stop(self, training_id: str) -> None:
        """Stop a training for good."""
        self.call("POST", f"/trainings/{training_id}/stop/")

    def resume(self, training_id: str) -> None:
        """Continue a training that has failed."""
        self.call("POST", f"/trainings/{training_id}/resume/")

    def status(self, training_id: str) -> dict[str, Any]:
        """What a training waits for, and for whom."""
        return dict(self.call("GET", f"/trainings/{training_id}/status/").json())

    def history(self, training_id: str) -> list[dict[str, Any]]:
        """What happened to a training, oldest first."""
        return list(self.call("GET", f"/trainings/{training_id}/history/").json())

    def round_of(self, training_id: str, model_id: str) -> int:
        """The current round of the training's global model."""
        rows = self.call("GET", f"/trainings/{training_id}/models/").json()
        return next(int(row["round"]) for row in rows if row["id"] == model_id)

    def measured(self, model_id: str) -> dict[str, dict[int, dict[str, float]]]:
        """The values that participants reported: by metric, then by round, then by reporter."""
        found: dict[str, dict[int, dict[str, float]]] = {}
        for row in self.call("GET", f"/models/{model_id}/metrics/").json():
            if row["value_float"] is not None:
                found.setdefault(row["key"], {}).setdefault(row["step"], {})[row["reporter"]] = row["value_float"]
        return found

    def metrics(self, model_id: str, key: str) -> dict[int, dict[str, float]]:
        """The values that participants reported for `key`: by round, then by reporter."""
        return self.measured(model_id).get(key, {})

    def predict(self, model_id: str, inputs: Any, *, version: int | None = None) -> Inference:
        """Ask for an inference on a batch.

        inputs: nested lists, answered in lists; a numpy array, sent as JSON and answered in arrays; a torch tensor,
        which keeps its type and is answered in tensors; or a path to an image or to a tensor that torch has saved,
        answered in lists.
        """
        about: dict[str, Any] = {"model_id": model_id} | ({} if version is None else {"version": version})
        if isinstance(inputs, Path):
            files = {"model_input": (inputs.name, inputs.read_bytes())}
            answer = self._infer(data={**about, "return_format": "json"}, files=files).json()
        elif hasattr(inputs, "detach"):
            return self._predict_tensor(about, inputs)
        else:
            is_array = hasattr(inputs, "tolist")
            body = {**about, "model_input": inputs.tolist() if is_array else inputs}
            answer = self._infer(json=body).json()
            if is_array:
                return _in_arrays(answer)
        return Inference(answer["inference"], dict(answer["uncertainty"]))

    def _infer(self, **content: Any) -> httpx.Response:
        """Refusals come as problem details, which say more: both shapes, where an input doesn't fit."""
        accept = "application/json, application/problem+json"
        return self.call("POST", "/inference/", headers={"Accept": accept}, **content)

    def _predict_tensor(self, about: Mapping[str, Any], inputs: Any) -> Inference:
        import io

        import torch

        from .model_files import save_tensor

        files = {"model_input": ("input.pt", save_tensor(inputs))}
        response = self._infer(data={**about, "return_format": "torch"}, files=files)
        answer = torch.load(io.BytesIO(response.content), weights_only=True)
        return Inference(answer["inference"], dict(answer["uncertainty"]))


def _in_arrays(answer: Mapping[str, Any]) -> Inference:
    import numpy as np  # whoever has sent an array has it

    figures = {
        key: np.asarray(value) if isinstance(value, list) else value for key, value in answer["uncertainty"].items()
    }
    return Inference(np.asarray(answer["inference"]), figures)


def _file_of(model: ModelSource) -> bytes:
    if isinstance(model, bytes):
        return model
    if isinstance(model, Path):
        return model.read_bytes()
    try:
        from .model_files import save_model
    except ModuleNotFoundError as error:
        raise MissingPackage("torch", "torch") from error
    return save_model(model)


def as_json(value: Any) -> str:
    """For people and pipes: indented, non-ASCII as it is."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
