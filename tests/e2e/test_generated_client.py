"""A client that openapi-python-client generates from docs/openapi.yaml: it imports, is typed, and runs a training."""

from __future__ import annotations

import importlib
import io
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from tests.api.openapi_document import KEPT
from tests.builders.files import saved, script
from tests.e2e.sites import embedded

NAME = "generated_fl_client"
PASSWORD = "correct horse battery staple"
ROUNDS = 2
SIZES = {1.0: 1, 5.0: 3}
"""Of each participant's data, by the value of its update: their weighted mean is 4."""
MEAN = 4.0

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the generated package is; it can be imported."""
    folder = tmp_path_factory.mktemp("generated")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(KEPT)]
    command += ["--output-path", str(folder / NAME), "--meta", "none", "--fail-on-warning"]
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # it formats with ruff
    made = subprocess.run(command, env={**os.environ, "PATH": tools}, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for module in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[module]


def test_every_module_of_it_imports(folder: Path) -> None:
    package = importlib.import_module(NAME)
    names = [one.name for one in pkgutil.walk_packages(package.__path__, f"{NAME}.")]
    assert len([name for name in names if ".api." in name]) > 60
    for name in names:
        importlib.import_module(name)


def test_mypy_finds_nothing_in_its_operations_and_models(folder: Path) -> None:
    rules = folder / "mypy.ini"
    # client.py is the generator's own text, whatever the document says: it hands on arguments that it calls objects.
    rules.write_text(f"[mypy]\ncache_dir = {folder / 'cache'}\n[mypy-{NAME}.client]\nignore_errors = true\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(rules), NAME]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert found.returncode == 0, found.stdout + found.stderr


def test_it_runs_a_training_and_asks_the_model(folder: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        site, _server = stack.enter_context(embedded(tmp_path))
        actor, *people = [Person(site.url, name, stack) for name in ("actor", "clinic-1", "clinic-2")]
        model_id = actor.upload(module(0.0))
        training_id = actor.create_training(model_id, [person.id for person in people])
        with ThreadPoolExecutor(len(people)) as pool:
            work = [pool.submit(person.take_part, value) for person, value in zip(people, SIZES, strict=True)]
            assert actor.call("trainings.start_training", training_id).detail == "Training started!"
            assert [one.result(120) for one in work] == [["O", "O"], ["O", "O"]]
        assert actor.call("trainings.get_training", training_id).state.value == "C"
        reported = actor.call("models.list_model_metrics", model_id)
        assert sorted({metric.value_float for metric in reported}) == [1.0, 5.0]
        assert {metric.key for metric in reported} == {"accuracy", "loss"}
        assert actor.names_of(actor.call("models.list_models")) == ["GlobalModel"]

        body = actor.call("models.download_model", model_id).payload.read()
        plain = httpx.get(f"{site.url}/api/models/{model_id}/", headers={"Authorization": f"Token {actor.token}"})
        assert body == plain.content
        tensors = torch.jit.load(io.BytesIO(body)).state_dict()  # type: ignore[no-untyped-call]
        expected = {"0.weight": torch.full((2, 3), MEAN), "0.bias": torch.tensor([0.0, MEAN])}
        assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
            name: tensor.tolist() for name, tensor in expected.items()
        }
        question = actor.model("InferenceRequest", model_id=model_id, model_input=[[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
        assert actor.call("inference.ask_model", body=question).inference == [1, 1]


@pytest.fixture(scope="module")
def strict(folder: Path) -> Callable[[str, Any], Any]:
    """Makes one of the generated classes from JSON."""
    models = importlib.import_module(f"{NAME}.models")
    return lambda name, value: getattr(models, name).from_dict(value)


def test_it_reads_each_form_of_a_refusal(strict: Callable[[str, Any], Any]) -> None:
    parse = importlib.import_module(f"{NAME}.api.models.upload_model")._parse_response
    bodies: list[Any] = [{"detail": "Model 1 not found."}, ["Missing required field: name"], {"round": ["Too small."]}]
    read = [parse(client=None, response=httpx.Response(400, json=body)) for body in bodies]
    assert read[0] == strict("Error", bodies[0])
    assert read[1] == bodies[1]
    assert read[2] == strict("FieldErrors", bodies[2])


class Person:
    """One account, which calls the server through the generated functions alone."""

    def __init__(self, url: str, name: str, stack: ExitStack) -> None:
        package = importlib.import_module(NAME)
        wish = self.model("RegisterRequest", username=name, password=PASSWORD)
        register = importlib.import_module(f"{NAME}.api.users.register_user")
        with package.Client(base_url=url) as visitor:
            account = register.sync(client=visitor, body=wish)
        self.id, self.token = str(account.id), account.token
        client = package.AuthenticatedClient(base_url=url, token=account.token, prefix="Token", timeout=60)
        self.client = stack.enter_context(client)

    def call(self, operation: str, *arguments: Any, **options: Any) -> Any:
        answer = importlib.import_module(f"{NAME}.api.{operation}").sync_detailed(
            *arguments, client=self.client, **options
        )
        assert 200 <= answer.status_code < 300, answer.content
        return answer.parsed

    @staticmethod
    def model(kind: str, /, **values: Any) -> Any:
        return getattr(importlib.import_module(f"{NAME}.models"), kind)(**values)

    @staticmethod
    def names_of(values: list[Any]) -> list[str]:
        return [type(value).__name__ for value in values]

    def upload(self, weights: torch.nn.Module) -> str:
        wish = self.model(
            "CreateModelRequest", name="linear", description="", model_file=file(script(weights)), input_shape=[None, 3]
        )
        return str(self.call("models.upload_model", body=wish).model_id)

    def create_training(self, model_id: str, clients: list[str]) -> str:
        wish = self.model(
            "CreateTrainingRequest",
            model_id=model_id,
            target_num_updates=ROUNDS,
            metric_names=["accuracy", "loss"],
            aggregation_method=importlib.import_module(f"{NAME}.models").AggregationMethodEnum("FedAvg"),
            clients=clients,
        )
        return str(self.call("trainings.create_training", body=wish).training_id)

    def take_part(self, value: float) -> list[str]:
        """Acknowledge and do what comes until the training ends; returns the training's state at each update."""
        states: list[str] = []
        while True:
            for one in self.call("notifications.list_notifications", wait=20):
                accept = self.model("AcknowledgeRequest", accept=True)
                self.call("notifications.acknowledge_notification", str(one.id), body=accept)
                if one.notification_type.value == "TRAINING_FINISHED":
                    return states
                self.answer(one, value, states)

    def answer(self, notification: Any, value: float, states: list[str]) -> None:
        if notification.notification_type.value == "UPDATE_ROUND_START":
            states.append(self.call("trainings.get_training", str(notification.training_uuid)).state.value)
            model_id, round_number = notification.body["global_model_uuid"], notification.body["round"]
            update = self.model(
                "UpdateRequest", round_=round_number, sample_size=SIZES[value], model_file=file(module(value))
            )
            assert self.call("models.upload_update", model_id, body=update).detail == "Model Update Accepted"
        if notification.notification_type.value == "MODEL_TEST_ROUND":
            metrics = self.model(
                "ReportMetricsRequest", metric_names=["accuracy", "loss"], metric_values=[f"{value}"] * 2
            )
            self.call("models.report_metrics", notification.body["global_model_uuid"], body=metrics)


def module(value: float) -> torch.nn.Module:
    """Three in, two out; the second output is always the larger by `value`."""
    linear = torch.nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.fill_(value)
        linear.bias.copy_(torch.tensor([0.0, value]))
    return torch.nn.Sequential(linear)


def file(weights: torch.nn.Module) -> Any:
    """A file of the form. It has a name: without one it would be a field."""
    types = importlib.import_module(f"{NAME}.types")
    return types.File(payload=io.BytesIO(saved(weights)), file_name="model.pt", mime_type="application/octet-stream")
