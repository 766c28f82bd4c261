"""Starts and ends processes for the demonstration and the experiments: a server of their own, and participants."""

from __future__ import annotations

import json
import os
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
GRACE = 20.0
"""Seconds that a process has to end after SIGTERM."""


class ProcessFailed(Exception):
    """A process did not start, or ended too early; the text holds the end of its log."""


class Process:
    """A child process in a group of its own, its output in a log file; one that `talks` is read by `read_json`."""

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
        """The process id, which is also that of its group."""
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
            raise ProcessFailed(f"{self.name} said nothing within {timeout:.0f} s:\n{self._tail()}")
        return json.loads(line)

    def end(self) -> None:
        """SIGTERM, and SIGKILL for the whole group if that does not help."""
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
    """`manage.py serve` on a free port of this machine, its data in a folder."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder, self.port = folder, port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {"FL_DATA_DIR": str(folder / "server")}
        command = [sys.executable, "manage.py", "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = Process("the server", command, folder / "server.log", environment=self._environment)

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Wait for the first answer: 401, since nobody has signed in."""
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
        """Make a superuser, answer name and password."""
        name, password = "admin", secrets.token_urlsafe(12)
        login = {
            "DJANGO_SUPERUSER_USERNAME": name,
            "DJANGO_SUPERUSER_PASSWORD": password,
            "DJANGO_SUPERUSER_EMAIL": "admin@example.com",
        }
        subprocess.run(
            [sys.executable, "manage.py", "createsuperuser", "--noinput"],
            cwd=ROOT,
            env=_environment({**self._environment, **login}),
            check=True,
            capture_output=True,
            timeout=60,
        )
        return name, password


def _environment(own: dict[str, str]) -> dict[str, str]:
    """Ours without what is set for another server: this one shares neither database nor files with it."""
    foreign = ("FL_", "DJANGO_", "CORS_", "CELERY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **own}


def tail(log: Path, lines: int = 20) -> str:
    """The end of a log file; nothing if there is none."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
