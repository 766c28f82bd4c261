"""The demonstration itself, cut short."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from examples.demo import METHODS, outcome, parse_arguments
from fl_server_core.registry import aggregation_methods
from tests.server_process import REPOSITORY

pytestmark = pytest.mark.once


@pytest.mark.timeout(300)
def test_the_demonstration_trains_with_participants_in_processes_and_reports(embedded_pass: None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo", "--rounds", "2", "--participants", "3", "--goal", "0.5"],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reached the goal of 0.500" in " ".join(done.stdout.split())


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
