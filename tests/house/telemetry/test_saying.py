"""What processes say at their start, where the log is JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fl_server_demo.local_server import free_port
from tests.server_process import REPOSITORY, ServerProcess, server_environment

pytestmark = pytest.mark.once
JSON = {"FL_LOG_FORMAT": "json"}


def test_serve_says_where_it_serves_in_an_object_for_each_line(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", environment=JSON) as server:
        server.stop()
        assert server.process.stdout is not None
        said = [json.loads(line) for line in server.process.stdout.read().splitlines()]
        assert [line["message"][:10] for line in said] == ["Models run"]
        assert [line["level"] for line in said] == ["info"]
        assert all(json.loads(line) for line in server.lines())


@pytest.mark.parametrize("command", [["worker", "control"], ["worker", "all"], ["beat"]])
def test_workers_and_beat_warn_and_wait_in_objects_and_show_no_banner(tmp_path: Path, command: list[str]) -> None:
    nobody = str(free_port())
    environment = server_environment(tmp_path) | {
        **JSON,
        "FL_POSTGRES_HOST": "127.0.0.1",
        "FL_POSTGRES_PORT": nobody,
        "FL_REDIS_LOCATION": f"redis://127.0.0.1:{nobody}/1",
        "FL_MIGRATION_WAIT_SECONDS": "5",
        "FL_SHARED_FILES": "true",
        "FL_WEB_THREDS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "fl_server_command", *command],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    *lines, sentence = done.stderr.splitlines()
    said = [json.loads(line)["message"] for line in lines if line.startswith("{")]
    assert any(line.startswith("fl_server.W052: The environment variable FL_WEB_THREDS isn't") for line in said)
    assert any(line.startswith("Waiting: The database") for line in said)
    assert "This process has waited for 5 seconds" in sentence
