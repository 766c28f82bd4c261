"""What the example programs say to a user who gives them something that can't be used: one sentence, exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import pytest
import torch
from fl_server_client import Account, Actor, Listening, Participant, Running

from fl_server_demo import follow, participant
from fl_server_demo.command_line import password
from tests.e2e.sites import Site
from tests.server_process import REPOSITORY

pytestmark = pytest.mark.once

PARTICIPANT = "fl_server_demo.participant"
NOWHERE = "http://127.0.0.1:9"
ARGUMENTS = ["--server", NOWHERE, "--username", "anna", "--data", "anna.npz"]


def run(module: str, *arguments: str, secret: str = "secret") -> tuple[int, list[str]]:
    """A program's exit code, and the lines of its standard error."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"FL_PASSWORD": secret},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros((4, 2)), y=np.zeros(4), test_x=np.zeros((4, 2)), test_y=np.zeros(4))
    return str(path)


@pytest.fixture
def name(site: Site) -> str:
    """A user of the site whose password is "right"."""
    client = Actor(site.url)
    username = uuid4().hex[:8]
    client.sign_in(username, "right")
    client.close()
    return username


def test_a_participant_that_finds_no_server_says_so(data: str) -> None:
    code, lines = run(PARTICIPANT, "--server", NOWHERE, "--username", "anna", "--data", data)
    assert code == 2
    assert lines == [f"Can't reach {NOWHERE}: POST /users/ failed: ConnectError: [Errno 111] Connection refused"]


def test_a_participant_whose_password_is_wrong_says_so(site: Site, name: str, data: str) -> None:
    code, lines = run(PARTICIPANT, "--server", site.url, "--username", name, "--data", data, secret="wrong")
    sentences = f'Wrong password for "{name}", or somebody else has this name. Check FL_PASSWORD.'
    assert (code, lines) == (2, [f"{site.url} refuses {name}: {sentences}"])


@contextmanager
def running_participant(site: Site, name: str, data: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A participant that has signed in."""
    command = [
        sys.executable,
        "-m",
        PARTICIPANT,
        "--server",
        site.url,
        "--username",
        name,
        "--data",
        data,
    ]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"FL_PASSWORD": "right"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "id" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def endpoint_of(site: Site, name: str) -> str:
    with closing(Actor(site.url)) as client:
        return str(client.log_in(name, "right")["message_endpoint"])


def test_a_participant_that_is_started_again_is_notified_where_it_listens_now(site: Site, name: str, data: str) -> None:
    endpoints = []
    for _ in range(2):
        with running_participant(site, name, data):
            endpoints.append(endpoint_of(site, name))
            httpx.post(endpoints[-1], content=b"no notification", timeout=10)  # somebody listens
    assert endpoints[0] != endpoints[1]


def test_a_participant_that_fetches_says_that_the_account_has_an_endpoint(site: Site, name: str, data: str) -> None:
    with running_participant(site, name, data):
        endpoint = endpoint_of(site, name)
    with running_participant(site, name, data, "--pull") as process:
        assert process.stderr is not None
        line = process.stderr.readline().strip()
        assert line.endswith(f"this account also has a message endpoint, to which the server sends: {endpoint}")
    assert endpoint_of(site, name) == endpoint


def test_who_follows_without_a_server_a_password_or_a_training_is_told_so(site: Site, name: str) -> None:
    known = ["--server", site.url, "--username", name]
    code, (line,) = run("fl_server_demo.follow", "--server", NOWHERE, "--username", name, "--training", "x")
    assert (code, line.startswith(f"Can't reach {NOWHERE}: ")) == (2, True)
    wrong = run("fl_server_demo.follow", *known, "--training", "x", secret="wrong")
    assert wrong == (2, [f"{site.url} refuses this: Invalid username/password."])
    unknown = str(uuid4())
    missing = run("fl_server_demo.follow", *known, "--training", unknown, secret="right")
    assert missing == (2, [f"{site.url} refuses this: Training {unknown} not found."])


def test_a_training_without_participants_is_followed_until_it_fails(site: Site) -> None:
    actor = Actor(site.url)
    actor.sign_in(username := uuid4().hex[:8], "right", actor=True)
    training = actor.create_training(actor.upload_model(torch.nn.Linear(1, 1), "m"), rounds=1)
    arguments = ["--server", site.url, "--username", username, "--training", training]
    code, (line,) = run("fl_server_demo.follow", *arguments, "--timeout", "0", secret="right")
    assert (code, line.startswith("not completed after 0 s. Status: ")) == (1, True)
    actor.close()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--server", "localhost:8000"], "argument --server: 'localhost:8000' is not an address such as http://127."),
        (["--server", "http://x:999999"], "argument --server: 'http://x:999999' is not an address"),
        (["--port", "70000"], "--port must be a number from 0 to 65535"),
        (["--port", "many"], "argument --port: invalid int value: 'many'"),
        (["--seed", "-1"], "--seed must be a number from 0 to 4294967295"),
        (["--sped", "1"], "unrecognized arguments: --sped 1"),
    ],
)
def test_a_wrong_argument_is_named(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["participant", *ARGUMENTS, *arguments])
    with pytest.raises(SystemExit) as ended:
        participant.parse_arguments()
    (line,) = capsys.readouterr().err.splitlines()
    assert (ended.value.code, line.startswith(sentence)) == (2, True), line


def test_a_missing_argument_or_password_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["follow"])
    monkeypatch.delenv("FL_PASSWORD", raising=False)
    for step in (follow.parse_arguments, password):
        with pytest.raises(SystemExit) as ended:
            step()
        assert ended.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("the following arguments are required: --server, --username, --training")
    assert second == "Set the environment variable FL_PASSWORD to the user's password."


def test_data_that_a_participant_cannot_use_is_named(tmp_path: Path) -> None:
    missing, text, few, short, words = (tmp_path / f"{name}.npz" for name in ("none", "text", "few", "short", "words"))
    text.write_text("x")
    zeros = np.zeros((4, 2))
    np.savez(few, x=zeros)
    np.savez(short, x=zeros, y=np.zeros(3), test_x=zeros, test_y=np.zeros(4))
    np.savez(words, x=np.array(["a"]), y=np.zeros(1), test_x=zeros, test_y=np.zeros(4))
    wrong = "must be a numpy archive of numbers with x, y, test_x and test_y."
    for path, sentence in (
        (missing, f"Can't read {missing}: No such file or directory."),
        (text, f"{text} {wrong}"),
        (few, f"{few} {wrong}"),
        (words, f"{words} {wrong}"),
        (short, f"{short}: y must have one class number for each sample in x."),
    ):
        with pytest.raises(ValueError, match=r"\.$") as error:
            participant.load_classifier(str(path), seed=0)
        assert str(error.value) == sentence


def test_an_address_at_which_nobody_can_listen_is_named() -> None:
    running = Running(Participant(), "http://127.0.0.1:9", Account(token="key"), Listening("192.0.2.1", 0))
    with pytest.raises(ValueError, match=r"^Can't listen at 192\.0\.2\.1, port 0: "):
        running.work()
