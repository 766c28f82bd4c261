"""The recorded conversation with the reference, replayed against a server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.sites import embedded
from tests.server_process import REPOSITORY

DEFAULT_FOLDER = REPOSITORY.parent / "shared" / "contract"


@pytest.mark.timeout(300)
def test_every_recorded_step_of_the_conversation_is_answered_as_recorded(embedded_pass: None, tmp_path: Path) -> None:
    folder = Path(os.environ.get("WIRE_CHECK_DIR", DEFAULT_FOLDER)).resolve()
    if not (folder / "wire_check.py").exists():
        pytest.skip(f"there is no wire_check.py in {folder}: WIRE_CHECK_DIR names another folder")
    with embedded(tmp_path, environment={"DJANGO_SETTINGS_MODULE": "tests.e2e.cheap_passwords"}) as (site, _server):
        done = subprocess.run(
            [sys.executable, "wire_check.py", "--base-url", site.url, "--compare", "golden.json"],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
