"""The demonstration itself, cut short."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from fl_server_core.registry import aggregation_methods
from fl_server_demo.demo import METHODS, outcome, parse_arguments
from tests.server_process import REPOSITORY

pytestmark = pytest.mark.once

COMMAND = [sys.executable, "-m", "fl_server_command", "demo", "--participants", "3"]


@contextmanager
def demonstration(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The demo as a process, with its output in a pipe and its files somewhere in the folder."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    environment.pop("PYTHONUNBUFFERED", None)
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A suite that runs in the background of a shell ignores Ctrl-C, and so would the demo.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.timeout(300)
def test_the_demonstration_trains_with_participants_in_processes_and_reports(
    embedded_pass: None, tmp_path: Path
) -> None:
    with demonstration(tmp_path, "--rounds", "2", "--goal", "0.5") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        login = re.fullmatch(r"Watch it at (http://\S+)/admin/  user (\S+)  password (\S+)\n", first)
        assert login is not None, first
        # While it runs, whoever has read the first line looks at it.
        url, name, password = login.groups()
        myself = httpx.get(f"{url}/api/users/myself/", auth=(name, password), trust_env=False, timeout=60)
        assert (myself.status_code, myself.json()["username"]) == (200, name)
        lines = process.stdout.read().splitlines()
        assert process.wait(60) == 0, lines
    shown = " ".join(" ".join(lines).split())
    assert "reached the goal of 0.500" in shown
    assert [line for line in lines if "training: round 1/2: 3/3 updates" in line]
    assert "Next:" in lines
    assert list(tmp_path.glob("fl-demo-*")) == []


@pytest.mark.timeout(300)
def test_an_interrupted_demonstration_leaves_no_files_and_no_processes(embedded_pass: None, tmp_path: Path) -> None:
    with demonstration(tmp_path, "--rounds", "1000") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert list(tmp_path.glob("fl-demo-*"))
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(60) == 130
    assert "Interrupted. Cleaning up." in rest
    assert "Traceback" not in first + rest
    assert list(tmp_path.glob("fl-demo-*")) == []
    gone, alive = psutil.wait_procs(children, timeout=60)
    assert (alive, bool(gone)) == ([], True)


@pytest.mark.parametrize(
    ("accuracy", "goal", "reached", "sentence"),
    [
        (0.9302, 0.93, True, "The accuracy of 0.930 [green]reached[/] the goal of 0.930."),
        (0.5, 0.93, False, "The accuracy of 0.500 [red]missed[/] the goal of 0.930."),
        (0.5, None, True, "The accuracy is [bold]0.500[/]."),
    ],
)
def test_the_last_sentence_names_a_goal_only_if_there_is_one(
    accuracy: float, goal: float | None, reached: bool, sentence: str
) -> None:
    assert outcome(accuracy, goal) == (reached, sentence)


@pytest.mark.parametrize(("words", "goal"), [("", 0.93), ("--rounds 9", None), ("--rounds 2 --goal 0.5", 0.5)])
def test_a_short_training_has_no_goal_unless_one_is_given(words: str, goal: float | None) -> None:
    assert parse_arguments(words.split()).goal == goal


def test_all_methods_of_the_server_can_be_demonstrated() -> None:
    built_in = [name for name, method in aggregation_methods.items() if method.__module__.startswith("fl_server")]
    assert sorted(METHODS) == sorted(built_in)


@pytest.mark.parametrize("words", ["--participants 0", "--rounds -1", "--epochs two", "--port 65536"])
def test_numbers_that_make_no_sense_are_refused_before_a_server_starts(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_arguments(words.split())
    assert "must be a whole number" in capsys.readouterr().err
