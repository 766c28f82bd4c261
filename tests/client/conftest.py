"""The command line `fl`, against a server that is played by the test."""

from pathlib import Path

import httpx
import pytest
from fl_server_client import cli
from fl_server_client.cli import credentials

from tests.client.played_server import SERVER, PlayedServer, Run


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> PlayedServer:
    """Every address leads to it."""
    server = PlayedServer()
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _self, request: server(request))
    return server


@pytest.fixture
def fl(
    server: PlayedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs `fl` with a login of its own, as somebody who has signed in. Returns: exit code, output, errors."""
    monkeypatch.setattr(credentials, "_path", lambda: tmp_path / "config" / "login.json")
    monkeypatch.chdir(tmp_path)
    credentials.keep(SERVER, "key")

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["fl", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return run
