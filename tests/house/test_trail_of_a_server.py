"""The trail of a running server: written by its thread, also of what the front refuses, and sealed by its worker."""

from __future__ import annotations

import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.builders.waiting import wait_until
from tests.server_process import ServerProcess

TIMEOUT = 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data") as server:
        yield server


def send(server: ServerProcess, path: str, body: bytes | None = None, **headers: str) -> int:
    request = urllib.request.Request(f"{server.base_url}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


def rows(server: ServerProcess, query: str) -> list[Any]:
    with closing(sqlite3.connect(server.data_dir / "db.sqlite3")) as database:
        return database.execute(query).fetchall()


def test_what_is_written_refused_and_counted_is_there_after_a_stop_and_sealed_before(server: ServerProcess) -> None:
    account = json.dumps({"username": "anna", "password": "a-Long-password-1"}).encode()
    assert send(server, "/api/users/", account, **{"Content-Type": "application/json"}) == 201
    ((verb,),) = rows(server, "SELECT verb FROM fl_server_core_auditentry")  # before the answer was
    assert verb == "register"
    wait_until("the seal", lambda: rows(server, "SELECT position FROM fl_server_core_auditseal") == [(1,)])
    assert [send(server, "/api/models/") for _ in range(5)] == [401] * 5
    assert send(server, "/api/users/", b" " * 70_000) == 413
    assert server.stop() == 0
    entries = "SELECT verb, outcome, status, count, address FROM fl_server_core_auditentry WHERE id > 1 ORDER BY id"
    assert rows(server, entries) == [
        ("read", "refused", 401, 1, "127.0.0.1"),
        ("create", "refused", 413, 1, "127.0.0.1"),
        ("read", "refused", 401, 4, "127.0.0.1"),
    ]
