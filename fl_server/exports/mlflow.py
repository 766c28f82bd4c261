"""Trainings as runs of an MLflow server, by its REST API."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import httpx

from fl_server_core.models import EventKind, Training
from fl_server_core.models.training import TrainingState
from fl_server_core.selectors.reported_values import ReportedValue, newest_metric, reported_values

TIMEOUT_SECONDS = 60.0
METRICS_AT_ONCE, PARAMS_AT_ONCE = 1000, 100
LONGEST_VALUE, LONGEST_NAME = 6000, 250
TRAINING_TAG, NEWEST_TAG = "fl_server.training", "fl_server.newest_metric"
STATUSES = {
    TrainingState.INITIAL: "SCHEDULED",
    TrainingState.ONGOING: "RUNNING",
    TrainingState.SWAG_ROUND: "RUNNING",
    TrainingState.COMPLETED: "FINISHED",
    TrainingState.ERROR: "FAILED",
}


class ExportFailed(Exception):
    """The MLflow server could not be asked, or refuses; the text says why."""


class NotThere(ExportFailed):
    """The MLflow server has no such thing."""


class MLflowServer:
    """Calls of MLflow's REST API, version 2.0. Credentials come from MLflow's own environment variables."""

    def __init__(self, tracking_uri: str) -> None:
        name, password = (os.environ.get(f"MLFLOW_TRACKING_{what}", "") for what in ("USERNAME", "PASSWORD"))
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        self._client = httpx.Client(
            base_url=f"{tracking_uri.rstrip('/')}/api/2.0/mlflow/",
            timeout=TIMEOUT_SECONDS,
            auth=(name, password) if name else None,
            headers={"Authorization": f"Bearer {token}"} if token else None,
        )

    def __enter__(self) -> MLflowServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """Raises ExportFailed, with what the server says."""
        try:
            answer = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise ExportFailed(f"The MLflow server does not answer: {error or type(error).__name__}") from error
        if answer.status_code != 200:
            kind = NotThere if answer.status_code == 404 else ExportFailed
            raise kind(f"The MLflow server refuses {path}: {_reason(answer)}")
        try:
            return dict(answer.json())
        except ValueError as error:
            raise ExportFailed(f"What answers at {answer.url} is not an MLflow server.") from error

    def experiment_id(self, name: str) -> str:
        """The id of the experiment with this name, which is made if there is none."""
        try:
            found = self.call("GET", "experiments/get-by-name", params={"experiment_name": name})["experiment"]
        except NotThere:
            found = self.call("POST", "experiments/create", json={"name": name})
        return str(found["experiment_id"])

    def find_run(self, experiment_id: str, training: Training) -> dict[str, Any] | None:
        """The run of a training, as MLflow describes it."""
        wanted = {
            "experiment_ids": [experiment_id],
            "filter": f"tags.`{TRAINING_TAG}` = '{training.pk}'",
            "max_results": 1,
        }
        runs = self.call("POST", "runs/search", json=wanted).get("runs", [])
        return dict(runs[0]) if runs else None


def export_training(server: MLflowServer, experiment_id: str, training: Training) -> int:
    """Make the training's run, or bring it up to date. Returns: how many values were added.

    Values carry the times at which they were reported, and a tag says up to which metric the run is complete: an export
    that was cut off is made good by the next, without a value twice.
    """
    run = server.find_run(experiment_id, training) or _create_run(server, experiment_id, training)
    run_id = run["info"]["run_id"]
    known = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
    _log_params(server, run_id, training, {param["key"] for param in run["data"].get("params", [])})
    newest, number = newest_metric(training), 0
    for points in _pieces(reported_values(training, after=int(known.get(NEWEST_TAG, 0))), METRICS_AT_ONCE):
        metrics = [_metric(point) for point in points]
        server.call("POST", "runs/log-batch", json={"run_id": run_id, "metrics": metrics})
        number += len(metrics)
    tags = {NEWEST_TAG: str(newest), "fl_server.state": training.get_state_display()}
    rows = [{"key": key, "value": value} for key, value in tags.items()]
    server.call("POST", "runs/log-batch", json={"run_id": run_id, "tags": rows})
    server.call("POST", "runs/update", json={"run_id": run_id, **_standing(training)})
    return number


def _create_run(server: MLflowServer, experiment_id: str, training: Training) -> dict[str, Any]:
    tags = {
        TRAINING_TAG: str(training.pk),
        "mlflow.user": training.actor.username,
        "fl_server.model": str(training.model_id),
    }
    made = server.call(
        "POST",
        "runs/create",
        json={
            "experiment_id": experiment_id,
            "run_name": run_name(training),
            "start_time": _milliseconds(_time_of(training, EventKind.STARTED) or training.created_at),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        },
    )
    return dict(made["run"])


def run_name(training: Training) -> str:
    """The name of the training's model, and the beginning of the training's id."""
    return f"{getattr(training.model, 'name', 'model')} {str(training.pk)[:8]}"


def params_of(training: Training) -> dict[str, str]:
    """What was asked of the training: methods, rounds and options, the nested ones with dots in their names."""
    asked = {
        "aggregation_method": training.aggregation_method,
        "uncertainty_method": training.uncertainty_method,
        "target_num_updates": training.target_num_updates,
        "participants": training.participants.count(),
        **dict(_flat("options", training.options)),
    }
    return {_name(key): str(value)[:LONGEST_VALUE] for key, value in asked.items()}


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield prefix, value
        return
    for key, inner in value.items():
        yield from _flat(f"{prefix}.{key}", inner)


def _log_params(server: MLflowServer, run_id: str, training: Training, known: set[str]) -> None:
    """MLflow never changes a parameter: those that the run has stay as they were at the first export."""
    new = [{"key": key, "value": value} for key, value in params_of(training).items() if key not in known]
    for some in _pieces(new, PARAMS_AT_ONCE):
        server.call("POST", "runs/log-batch", json={"run_id": run_id, "params": list(some)})


def _metric(point: ReportedValue) -> dict[str, Any]:
    name = f"{point.key}/{point.reporter}" if point.reporter else point.key
    value: float | str = point.value
    if not math.isfinite(point.value):  # JSON has no such numbers; MLflow reads these words
        value = "NaN" if math.isnan(point.value) else "Infinity" if point.value > 0 else "-Infinity"
    return {"key": _name(name), "value": value, "timestamp": _milliseconds(point.at), "step": point.step}


def _standing(training: Training) -> dict[str, Any]:
    status = STATUSES[TrainingState(training.state)]
    if status not in ("FINISHED", "FAILED"):
        return {"status": status}
    ended = _time_of(training, EventKind.FINISHED, EventKind.STOPPED, EventKind.FAILED) or training.last_update
    return {"status": status, "end_time": _milliseconds(ended)}


def _time_of(training: Training, *kinds: EventKind) -> datetime | None:
    return training.events.filter(kind__in=kinds).order_by("id").values_list("at", flat=True).last()


def _name(text: str) -> str:
    """MLflow's names have letters, digits and a few signs, and lead somewhere if they are read as paths."""
    parts = re.sub(r"[^\w./ -]", "_", text).split("/")
    return "/".join(part if part.strip(".") else "_" * max(1, len(part)) for part in parts)[:LONGEST_NAME]


def _milliseconds(when: datetime) -> int:
    return int(when.timestamp() * 1000)


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def _pieces(items: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
