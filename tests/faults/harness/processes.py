"""Processes of the suite's own: each in a group of its own, logged to a file, killed by its id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.builders.waiting import wait_until


def accepts_connections(port: int) -> bool:
    """Does somebody listen on this port of loopback?"""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Process:
    """A command that can be started, killed and started again. `is_ready` says when it has come up."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        is_ready: Callable[[Process], bool],
        directory: Path,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.is_ready = is_ready
        self._command = list(command)
        self._environment = dict(environment)
        self._directory = directory
        self._user = user
        self._child: subprocess.Popen[bytes] | None = None
        self._logged = 0

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """What it ended with (negative: the signal that killed it); None while it runs."""
        return None if self._child is None else self._child.poll()

    @property
    def is_alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Start, unless it runs, and wait until it is ready.

        One that was coming up, and ends because what it needs was away meanwhile, is started again.
        """
        if wait and self.is_alive:
            wait_until(f"{self.name} to come up\n{self.tail()}", lambda: not self.is_alive or self.is_ready(self))
        if not self.is_alive:
            self._logged = self.log.stat().st_size if self.log.exists() else 0
            with self.log.open("ab") as log:
                self._child = subprocess.Popen(
                    self._command,
                    cwd=self._directory,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    user=self._user,
                    group=self._user,
                    extra_groups=None if self._user is None else [],
                    start_new_session=True,
                )
        if wait:
            wait_until(f"{self.name} to start\n{self.tail()}", self._is_up)

    def _is_up(self) -> bool:
        assert self.is_alive, f"{self.name} ended at its start:\n{self.tail()}"
        return self.is_ready(self)

    def kill(self) -> None:
        """SIGKILL for the process and all that it has forked and not put into another group."""
        if self._child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def stop(self, with_signal: signal.Signals = signal.SIGTERM, seconds: float = 20.0) -> None:
        """End gently, by a signal to the process itself; kill what is left of its group."""
        if self.is_alive:
            assert self._child is not None
            self._child.send_signal(with_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)
        self.kill()

    def output(self) -> str:
        """What it has written since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._logged)
            return log.read().decode(errors="replace")

    def tail(self, lines: int = 40) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
