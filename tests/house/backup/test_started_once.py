"""A server that was started, and used by nobody, takes a backup as an empty one does."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.server_process import ServerProcess, run_manage, server_environment

pytestmark = pytest.mark.once

ACCOUNT = {"username": "anna", "password": "a-good-password"}


def test_a_server_that_has_only_been_started_takes_a_backup(tmp_path: Path) -> None:
    old, new, backups = tmp_path / "old", tmp_path / "new", str(tmp_path / "backups")
    with ServerProcess(old) as server:
        account = {**ACCOUNT, "message_endpoint": ""}
        requests.post(f"{server.base_url}/api/users/", json=account, timeout=30).raise_for_status()
        done = run_manage("backup", backups, environment=server_environment(old))
        assert done.returncode == 0, done.stderr
        server.stop()
    with ServerProcess(new) as server:
        server.stop()
    assert [path.name for path in (new / "files").iterdir()] == ["folder_token"]
    (new / "secret_key").write_bytes((old / "secret_key").read_bytes())
    done = run_manage("restore", backups, environment=server_environment(new))
    assert done.returncode == 0, done.stderr
    with ServerProcess(new) as server:
        login = (ACCOUNT["username"], ACCOUNT["password"])
        myself = requests.get(f"{server.base_url}/api/users/myself/", auth=login, timeout=30)
        assert myself.json()["username"] == "anna"
        parts = requests.get(f"{server.base_url}/readyz", timeout=30).json()["parts"]
        assert parts["storage"]["ok"], parts["storage"]
        server.stop()
