"""The memory of the process that aggregates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from django.conf import settings

from tests.server_process import REPOSITORY, server_environment

MEGABYTE = 10**6
MODEL_BYTES = 40 * MEGABYTE
UPDATES = 50


def test_closing_a_round_of_50_updates_of_40_mb_takes_less_than_one_model_and_100_mb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not settings.FL_EMBEDDED:
        pytest.skip("it has a process and a database of its own: run in the pass on SQLite")
    model_file = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(10_000, MODEL_BYTES // 4 // 10_000, bias=False), model_file)
    assert model_file.stat().st_size >= MODEL_BYTES
    done = subprocess.run(
        [sys.executable, "-m", "tests.ai.closing_in_a_process", str(model_file), str(UPDATES)],
        cwd=REPOSITORY,
        env=server_environment(tmp_path / "var") | {"DJANGO_SETTINGS_MODULE": "fl_server.settings.development"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=240,
    )
    seen = json.loads(done.stdout)
    assert seen["state"] == "C"
    assert seen["events"] == ["started", "aggregated", "finished"]
    with capsys.disabled():
        sys.stdout.write(
            f"\nClosing {UPDATES} updates of {MODEL_BYTES // MEGABYTE} MB: anonymous memory grew by "
            f"{seen['growth'] / MEGABYTE:.1f} MB, from {seen['before'] / MEGABYTE:.1f} MB.\n"
        )
    assert seen["growth"] < MODEL_BYTES + 100 * MEGABYTE
    assert not seen["torch"]
