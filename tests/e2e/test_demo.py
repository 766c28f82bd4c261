"""The demonstration itself, cut short."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.server_process import REPOSITORY


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
    assert "reached the goal of 0.50" in " ".join(done.stdout.split())
