"""Trainings in MLflow. With `make mlflow`, against a real server, read back by MLflow's own client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command

from fl_server.exports.mlflow import params_of
from fl_server_core.models import Metric, Training
from tests.ai.notification.listener import closed_port, listening
from tests.builders.rows import make_metric, make_training, make_user

BIN = os.environ.get("MLFLOW_BIN", "")
"""The folder with the programs of an environment in which MLflow is installed."""
real = pytest.mark.skipif(not BIN, reason="`make mlflow` runs this test against a real MLflow server.")
START_SECONDS = 120.0
READ_BACK = """
import json, sys
from mlflow.tracking import MlflowClient

client = MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name(sys.argv[2])
runs = []
for run in client.search_runs([experiment.experiment_id]):
    histories = {}
    for key in run.data.metrics:
        points = client.get_metric_history(run.info.run_id, key)
        histories[key] = [[point.step, str(point.value), point.timestamp] for point in points]
    runs.append({"name": run.info.run_name, "status": run.info.status, "params": run.data.params, "metrics": histories,
                 "tags": run.data.tags})
print(json.dumps(runs))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server of this module's own."""
    folder, port = tmp_path_factory.mktemp("mlflow"), closed_port()
    command = [f"{BIN}/mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder)]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{BIN}:{os.environ['PATH']}"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}", process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it may take long to end by itself
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"MLflow did not start:\n{log.read_text()}")


def export(server: str, experiment: str, *trainings: Training) -> None:
    ids = [str(training.pk) for training in trainings]
    call_command("export_mlflow", *ids, tracking_uri=server, experiment=experiment, verbosity=0)


def read_back(server: str, experiment: str) -> Any:
    command = [f"{BIN}/python", "-c", READ_BACK, server, experiment]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment)
    return json.loads(done.stdout)


def values(run: Any) -> dict[str, list[tuple[int, float]]]:
    return {key: [(step, float(value)) for step, value, _at in points] for key, points in run["metrics"].items()}


@real
def test_a_training_is_a_run_with_its_options_and_the_curves_of_each_participant(
    server: str, training: Training
) -> None:
    export(server, "first", training)
    (run,) = read_back(server, "first")
    assert run["params"] == {
        "aggregation_method": "FedAvg", "uncertainty_method": "NONE", "target_num_updates": "2", "participants": "2",
        "options.lr": "0.5", "options.aggregation.trim": "0.2",
    }  # fmt: skip
    assert values(run) == {
        "accuracy": [(1, 0.375), (2, 0.875)],
        "accuracy/anna": [(1, 0.25), (2, 0.75)],
        "accuracy/__": [(1, 0.5), (2, 1.0)],
        "accuracy/actor": [(2, 0.0)],
        "update/loss": [(2, 1.5)],
        "update/loss/anna": [(2, 1.5)],
    }
    assert (run["name"], run["status"]) == (f"digits {str(training.pk)[:8]}", "RUNNING")
    first = Metric.objects.filter(key="accuracy").earliest("id")
    assert run["metrics"]["accuracy/anna"][0][2] == int(first.created_at.timestamp() * 1000)


@real
def test_a_second_export_brings_the_same_run_up_to_date(server: str, training: Training) -> None:
    export(server, "second's", training)
    before = read_back(server, "second's")
    export(server, "second's", training)
    assert read_back(server, "second's") == before
    make_metric(training.model, "accuracy", 0.5, reporter=make_user("cleo"), step=3)
    Training.objects.filter(pk=training.pk).update(state="C", options={"lr": 0.25, "mu": 1})
    export(server, "second's", training)
    (run,) = read_back(server, "second's")
    assert values(run)["accuracy"] == [(1, 0.375), (2, 0.875), (3, 0.5)]
    assert values(run)["accuracy/anna"] == [(1, 0.25), (2, 0.75)]
    # MLflow keeps a parameter as it was.
    assert (run["status"], run["params"]["options.lr"], run["params"]["options.mu"]) == ("FINISHED", "0.5", "1")


@real
def test_an_export_that_was_cut_off_is_made_good_without_repeats(
    server: str, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fl_server.exports import mlflow

    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "METRICS_AT_ONCE", 2)
        calls: list[str] = []
        whole = mlflow.MLflowServer.call

        def call(self: Any, method: str, path: str, **arguments: Any) -> Any:
            calls.append(path)
            if calls.count("runs/log-batch") == 4:
                raise mlflow.ExportFailed("cut off")
            return whole(self, method, path, **arguments)

        patch.setattr(mlflow.MLflowServer, "call", call)
        with pytest.raises(CommandError, match="cut off"):
            export(server, "cut", training)
    export(server, "cut", training)
    (run,) = read_back(server, "cut")
    assert values(run)["accuracy"] == [(1, 0.375), (2, 0.875)]
    assert values(run)["accuracy/anna"] == [(1, 0.25), (2, 0.75)]


@real
def test_more_than_a_thousand_values_and_those_that_are_not_finite_arrive(server: str, training: Training) -> None:
    anna = training.participants.get(username="anna")
    Metric.objects.bulk_create(
        Metric(model=training.model, key="many", value_float=float(step), reporter=anna, step=step)
        for step in range(1500)
    )
    Metric.objects.create(model=training.model, key="bad", value_special="nan", reporter=anna, step=1)
    other = make_training(training.actor)
    export(server, "many", training, other)
    runs = {run["name"][:6]: run for run in read_back(server, "many")}
    assert sorted(runs) == ["digits", "linear"]
    assert values(runs["digits"])["many/anna"] == [(step, float(step)) for step in range(1500)]
    assert runs["digits"]["metrics"]["bad/anna"][0][1] == "nan"


def test_names_that_mlflow_refuses_are_written_otherwise_and_long_values_are_cut(training: Training) -> None:
    training.options = {"a b": {"c@d": 1, "e": [1, 2]}, "text": "x" * 7000}
    params = params_of(training)
    assert (params["options.a b.c_d"], params["options.a b.e"], len(params["options.text"])) == ("1", "[1, 2]", 6000)


def test_a_server_that_is_away_or_another_is_told(training: Training) -> None:
    with pytest.raises(CommandError, match="does not answer"):
        export(f"http://127.0.0.1:{closed_port()}", "none", training)
    with (
        listening(status=403) as listener,
        pytest.raises(CommandError, match="refuses experiments/get-by-name: status"),
    ):
        export(listener.url, "none", training)


@pytest.mark.parametrize("address", ["", "mlruns", "sqlite:///mlflow.db", "databricks"])
def test_the_address_must_be_a_servers(training: Training, address: str) -> None:
    with pytest.raises(CommandError, match="Give --tracking-uri, the http or https address"):
        export(address, "none", training)
