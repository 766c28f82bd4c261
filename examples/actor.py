"""An actor's HTTP calls: upload models, set up trainings, watch them, ask for inferences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from examples.client import Client
from examples.model_files import save_model


class ActorClient(Client):
    """The client of a user who owns models and trainings."""

    def upload_model(
        self, module: torch.nn.Module, name: str, *, kind: str = "GLOBAL", input_shape: Sequence[int | None] = ()
    ) -> str:
        """Upload a model; return its id. None in `input_shape` marks a free dimension."""
        about = {"name": name, "description": name, "type": kind, "input_shape": [str(size) for size in input_shape]}
        files = {"model_file": ("model.pt", save_model(module))}
        return str(self.call("POST", "/models/", data=about, files=files).json()["model_id"])

    def mean_model(self, name: str, models: Sequence[str]) -> str:
        """Create a mean model of other models; return its id."""
        body = {"type": "MEAN", "name": name, "description": name, "models": list(models)}
        return str(self.call("POST", "/models/", json=body).json()["model_id"])

    def create_training(
        self,
        model_id: str,
        *,
        rounds: int,
        participants: Sequence[str] = (),
        aggregation: str = "FedAvg",
        uncertainty: str = "NONE",
        options: dict[str, Any] | None = None,
    ) -> str:
        """Set up a training; return its id."""
        body = {
            "model_id": model_id,
            "target_num_updates": rounds,
            "metric_names": ["loss", "accuracy"],
            "aggregation_method": aggregation,
            "uncertainty_method": uncertainty,
            "options": options or {},
            "clients": list(participants),
        }
        return str(self.call("POST", "/trainings/", json=body).json()["training_id"])

    def start(self, training_id: str) -> None:
        """Start a training."""
        self.call("POST", f"/trainings/{training_id}/start/", json={})

    def round_of(self, training_id: str, model_id: str) -> int:
        """The current round of the training's global model."""
        rows = self.call("GET", f"/trainings/{training_id}/models/").json()
        return next(int(row["round"]) for row in rows if row["id"] == model_id)

    def metrics(self, model_id: str, key: str) -> dict[int, dict[str, float]]:
        """The values that participants reported for `key`: by round, then by reporter."""
        rounds: dict[int, dict[str, float]] = {}
        for row in self.call("GET", f"/models/{model_id}/metrics/").json():
            if row["key"] == key and row["value_float"] is not None:
                rounds.setdefault(row["step"], {})[row["reporter"]] = row["value_float"]
        return rounds

    def infer(self, model_id: str, inputs: npt.NDArray[np.float32]) -> tuple[Any, dict[str, Any]]:
        """Ask for an inference on a batch; return the inference and its uncertainty as nested lists."""
        body = {"model_id": model_id, "model_input": np.round(inputs, 4).tolist()}
        answer = self.call("POST", "/inference/", json=body).json()
        return answer["inference"], dict(answer["uncertainty"])
