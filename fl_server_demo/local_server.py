"""Starts and ends processes for the demo and the experiments: the server and participants."""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
"""The folder of all packages: the repository, or site-packages."""
FL_SERVER = (sys.executable, "-m", "fl_server_command")
GRACE = 20.0
"""Seconds to wait for a process to end after SIGTERM."""
PORTS = range(20_000, 30_000)
"""Linux takes ports from 32768 for outgoing connections: one of those may be gone before a server listens on it."""


class ProcessFailed(Exception):
    """A process did not start or ended too early. The message contains the end of its log."""


class Process:
    """A child process in its own process group, with a log file. If `talks`, `read_json` reads its standard output."""

    def __init__(
        self, name: str, command: list[str], log: Path, *, talks: bool = False, environment: dict[str, str]
    ) -> None:
        self.name, self.log = name, log
        with log.open("ab") as file:
            self._child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else file,
                stderr=file,
                start_new_session=True,
                text=True,
            )

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        return self._child.pid

    def check(self) -> None:
        """Raise ProcessFailed if it has ended."""
        if self._child.poll() is not None:
            raise ProcessFailed(f"{self.name} ended with code {self._child.returncode}:\n{self._tail()}")

    def read_json(self, timeout: float) -> Any:
        """The first line of its standard output, as JSON."""
        assert self._child.stdout is not None
        ready, _, _ = select.select([self._child.stdout], [], [], timeout)
        line = self._child.stdout.readline() if ready else ""
        if not line:
            raise ProcessFailed(f"{self.name} printed nothing within {timeout:.0f} s:\n{self._tail()}")
        return json.loads(line)

    def end(self) -> None:
        """Send SIGTERM; if the process doesn't end, send SIGKILL to the whole group."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def _tail(self) -> str:
        return tail(self.log)


class LocalServer:
    """`fl-server serve` on a free local port, with its data in a folder."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder, self.port = folder, port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {"FL_DATA_DIR": str(folder / "server"), "FL_CONFIG": os.devnull}
        command = [*FL_SERVER, "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = Process("the server", command, folder / "server.log", environment=self._environment)

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Wait for the first response: 401, because no one has signed in."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.process.check()
            try:
                if httpx.get(f"{self.url}/api/users/myself/", timeout=5.0, trust_env=False).status_code == 401:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(0.1)
        raise ProcessFailed(f"the server did not answer within {timeout:.0f} s, see {self.process.log}")

    def create_admin(self) -> tuple[str, str]:
        """Create a superuser; return name and password."""
        name, password = "admin", secrets.token_urlsafe(12)
        login = {
            "DJANGO_SUPERUSER_USERNAME": name,
            "DJANGO_SUPERUSER_PASSWORD": password,
            "DJANGO_SUPERUSER_EMAIL": "admin@example.com",
        }
        subprocess.run(
            [*FL_SERVER, "createsuperuser", "--noinput"],
            cwd=ROOT,
            env=_environment({**self._environment, **login}),
            check=True,
            capture_output=True,
            timeout=60,
        )
        return name, password


def _environment(own: dict[str, str]) -> dict[str, str]:
    """Our environment without settings for another server, so that this one doesn't use its database or files."""
    foreign = ("FL_", "DJANGO_", "CORS_", "CELERY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **own}


def tail(log: Path, lines: int = 20) -> str:
    """The end of a log file; empty if the file doesn't exist."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


def free_port() -> int:
    """A port of loopback that is free now, and that no outgoing connection will take before a server listens on it."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
