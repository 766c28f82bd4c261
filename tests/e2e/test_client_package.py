"""The client package at a real server, as its README shows it."""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from fl_server_client import Actor
from fl_server_client.cli.app import app
from fl_server_client.model_files import save_model
from typer.testing import CliRunner

from fl_server_demo.local_server import free_port
from tests.builders.waiting import wait_until
from tests.e2e.sites import embedded
from tests.server_process import REPOSITORY

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]
README = (REPOSITORY / "clients/python/README.md").read_text()
PASSWORD = "a long password of 1 person"
NUMPY = """
import numpy as np
from fl_server_client import NumpyFormat, Participant


class Clinic(Participant):
    models = NumpyFormat()

    def train(self, model, round, options):
        for name in model:
            model[name] += np.float32(1)
        return 3

    def evaluate(self, model):
        return {"accuracy": float(np.mean(model["bias"]))}
"""


class Shell:
    """`fl` in a folder, with a login of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FL_")}
        # HOME and XDG_CONFIG_HOME: where the login is kept.
        home = str(folder / "home")
        self.environment = {**kept, "HOME": home, "XDG_CONFIG_HOME": home, "FL_PASSWORD": PASSWORD}

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-c", "from fl_server_client.cli import main; main()", *map(str, words)]

    def fl(self, *words: object) -> str:
        """What a command prints. It runs in this process, which saves its start."""
        done = CliRunner().invoke(app, [str(word) for word in words], env=self.environment)
        assert done.exit_code == 0, (words, done.output, done.exception)
        return done.stdout

    def answer(self, *words: object) -> Any:
        return json.loads(self.fl(*words, "--json"))

    @contextmanager
    def running(self, *words: object) -> Iterator[dict[str, Any]]:
        """A participant that runs: its user."""
        process = subprocess.Popen(
            self.command("participant", "run", *words),
            cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield json.loads(line)
        finally:
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=30)
        assert process.returncode == 0, log


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded(tmp_path_factory.mktemp("server")) as (site, _process):
        yield site.url


@pytest.fixture
def shell(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """An actor who has signed in."""
    monkeypatch.chdir(tmp_path)
    with Actor(server) as actor:
        actor.sign_in("actor", PASSWORD)
    shell = Shell(tmp_path)
    assert shell.answer("login", server, "--username", "actor")["username"] == "actor"
    return shell


def readme_program() -> str:
    """The participant that the README shows."""
    [program] = re.findall(r"```python\n(import torch\nfrom fl_server_client import Participant.*?)```", README, re.S)
    return str(program)


def write_model(path: Path) -> torch.nn.Linear:
    module = torch.nn.Linear(4, 2)
    path.write_bytes(save_model(module))
    return module


def wait_for_end(actor: Actor, training: str) -> None:
    wait_until("the end", lambda: actor.training(training)["state"] not in "OS")
    assert actor.training(training)["state"] == "C", actor.history(training)


def test_the_participant_of_the_readme_takes_part_by_push_and_by_pull(shell: Shell, server: str) -> None:
    program = readme_program()
    assert len([line for line in program.splitlines() if line.strip()]) <= 22
    (shell.folder / "my_clinic.py").write_text(program)
    before = write_model(shell.folder / "model.pt").weight.detach().clone()
    clinic = ["my_clinic:Clinic", "--server", server]
    with (
        shell.running(*clinic, "--username", "clinic-1"),
        shell.running(*clinic, "--username", "clinic-2", "--listen", "127.0.0.1:0"),
    ):
        model = shell.answer("model", "push", "model.pt", "--input-shape", "?,4")["id"]
        words = ["--participant", "clinic-1", "--participant", "clinic-2", "--rounds", 2, "--option", "mu=0.1"]
        training = shell.answer("train", "create", model, *words, "--aggregation", "FedProx")["id"]
        assert shell.answer("train", "start", training) == {"started": True, "id": training}
        rounds = [json.loads(line) for line in shell.fl("train", "watch", training, "--json").splitlines()]
    assert [row["number"] for row in rounds] == [1, 2]
    assert all(row["updates"] == 2 and row["reported"] > 0.5 for row in rounds)
    [row] = shell.answer("train", "compare", training)
    assert (row["state"], row["aggregation"], row["rounds"]) == ("completed", "FedProx", "2/2")
    assert len(shell.answer("model", "versions", model)) == 3
    shell.fl("model", "pull", model, "-o", "trained.pt")
    trained = torch.load(shell.folder / "trained.pt", weights_only=False)
    assert not torch.equal(trained.weight, before)
    (shell.folder / "inputs.json").write_text("[[3, 3, 3, 3], [-3, -3, -3, -3]]")
    assert shell.answer("predict", model, "inputs.json")["inference"] == [1, 0]
    np.save(shell.folder / "inputs.npy", np.full((1, 4), 3.0, dtype=np.float32))
    assert shell.answer("predict", model, "inputs.npy")["inference"] == [1]
    torch.save(torch.full((1, 4), -3.0), shell.folder / "inputs.pt")
    assert shell.answer("predict", model, "inputs.pt")["inference"] == [0]


def test_the_other_participants_of_the_readme_take_part_with_feddc_and_swag_and_with_fedprox(
    shell: Shell, server: str
) -> None:
    programs = re.findall(r"```python\n(.*?)```", README, re.S)
    [loader] = [program for program in programs if "TorchParticipant(" in program]
    [line] = [program for program in programs if "Line(Participant)" in program]
    (shell.folder / "loaders.py").write_text(loader)
    (shell.folder / "lines.py").write_text(line)
    with ExitStack() as stack:
        actor = stack.enter_context(Actor(server))
        actor.log_in("actor", PASSWORD)
        people = {
            name: stack.enter_context(shell.running(program, "--server", server, "--username", name))["id"]
            for name, program in {"l1": "loaders:clinic", "l2": "loaders:clinic", "line": "lines:Line"}.items()
        }
        both = [people["l1"], people["l2"]]
        swag = actor.upload_model(torch.nn.Linear(4, 2), "swag", kind="SWAG", input_shape=[None, 4])
        line_model = actor.upload_model(torch.nn.Linear(1, 1), "line")
        chain: dict[str, Any] = {"aggregation": "FedDC", "options": {"daisy_chain_period": 2}}
        trainings = [
            actor.create_training(swag, rounds=2, participants=both, uncertainty="SWAG", **chain),
            actor.create_training(line_model, rounds=2, participants=[people["line"]], aggregation="FedProx"),
        ]
        for training in trainings:
            actor.start(training)
        for training in trainings:
            wait_for_end(actor, training)
        accuracies, losses = actor.metrics(swag, "accuracy"), actor.metrics(line_model, "loss")
        assert min(accuracies[max(accuracies)].values()) > 0.6
        assert losses[max(losses)][people["line"]] < 0.1
        found = actor.predict(swag, torch.full((3, 4), 2.0))
        assert found.output.shape == (3, 2)
        assert found.uncertainty
        assert actor.predict(line_model, np.ones((2, 1), dtype=np.float32)).output.tolist() == [0, 0]


def test_a_participant_without_torch_works_on_arrays(shell: Shell, server: str) -> None:
    (shell.folder / "torch.py").write_text("raise ModuleNotFoundError('no torch here', name='torch')")
    (shell.folder / "arrays.py").write_text(NUMPY)
    before = write_model(shell.folder / "model.pt").weight.detach().numpy().copy()
    with Actor(server) as actor, shell.running("arrays:Clinic", "--server", server, "--username", "arrays") as user:
        actor.log_in("actor", PASSWORD)
        model = actor.upload_model(shell.folder / "model.pt", "linear", input_shape=[None, 4])
        training = actor.create_training(model, rounds=3, participants=[user["id"]])
        actor.start(training)
        wait_for_end(actor, training)
        trained = actor.download(model)
    (shell.folder / "torch.py").unlink()
    (shell.folder / "trained.pt").write_bytes(trained)
    weight = torch.load(shell.folder / "trained.pt", weights_only=False).weight.detach().numpy()
    np.testing.assert_allclose(weight, before + 3, rtol=1e-6)


def test_a_forged_notification_is_refused_and_the_round_ends_all_the_same(shell: Shell, server: str) -> None:
    (shell.folder / "arrays.py").write_text(NUMPY)
    port = free_port()
    listening = ["--username", "listener", "--listen", f"127.0.0.1:{port}"]
    with ExitStack() as stack:
        user = stack.enter_context(shell.running("arrays:Clinic", "--server", server, *listening))
        now = str(int(time.time()))
        forged = {"notification_type": "UPDATE_ROUND_START", "training_uuid": "t", "body": {}}
        forged["body"] = {"round": 7, "global_model_uuid": "m"}
        content = json.dumps(forged).encode()
        signature = base64.b64encode(hmac.digest(b"another secret", b"1." + now.encode() + b"." + content, "sha256"))
        headers = {"webhook-id": "1", "webhook-timestamp": now, "webhook-signature": f"v1,{signature.decode()}"}
        answer = httpx.post(f"http://127.0.0.1:{port}/", content=content, headers=headers, trust_env=False)
        assert answer.status_code == 401
        actor = stack.enter_context(Actor(server))
        actor.log_in("actor", PASSWORD)
        model = actor.upload_model(torch.nn.Linear(4, 2), "linear")
        training = actor.create_training(model, rounds=1, participants=[user["id"]])
        actor.start(training)
        wait_for_end(actor, training)
