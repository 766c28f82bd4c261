"""A server of its own for a test: `manage.py serve` in a process, on a free port and a data folder of its own."""

import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType

REPOSITORY = Path(__file__).resolve().parent.parent
START_SECONDS = 150.0
STOP_SECONDS = 90.0


class ServerProcess:
    """Started by `with`; `base_url` is where it listens, `returncode` what it ended with.

    `environment` holds the server's own settings: nothing of the operator's or the suite's reaches it.
    """

    def __init__(self, data_dir: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.base_url = ""
        self.log = data_dir.with_name(data_dir.name + ".stderr")
        self._arguments = arguments
        self._environment = server_environment(data_dir) | (environment or {})

    def __enter__(self) -> "ServerProcess":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--port", "0", *self._arguments],
                cwd=REPOSITORY,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self._first_line()
        match = re.search(r"http://\S+?(?=/)", line)
        if match is None:
            self.__exit__(None, None, None)
            raise AssertionError(f"The server did not start: {line!r}\n{self.errors()}")
        self.base_url = match.group()
        # The line comes when the address is bound; an answer, when the process that serves is there, too.
        with urllib.request.urlopen(f"{self.base_url}/admin/login/", timeout=START_SECONDS):
            return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def pid(self) -> int:
        """The process that was started, not the ones that it forked."""
        return self.process.pid

    def errors(self) -> str:
        """All that servers on this data folder wrote to stderr, but for the lines of requests."""
        return "".join(f"{line}\n" for line in self.lines() if "fl_server.access" not in line)

    def lines(self) -> list[str]:
        """All that servers on this data folder wrote to stderr."""
        return self.log.read_text(encoding="utf-8").splitlines()

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit status (negative: the signal that killed it)."""
        self.process.send_signal(with_signal)
        return self.process.wait(STOP_SECONDS)

    def _first_line(self) -> str:
        """The line that is printed once the address is bound; "" if the process ends or takes too long."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if select.select([self.process.stdout], [], [], 0.2)[0]:
                return self.process.stdout.readline()
        return self.process.stdout.readline() if self.process.poll() is not None else ""


def server_environment(data_dir: Path) -> dict[str, str]:
    """This process's environment without any setting of the server, but for the data folder."""
    foreign = ("FL_", "CORS_", "CELERY_", "OTEL_", "DJANGO_SETTINGS_MODULE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"FL_DATA_DIR": str(data_dir)}


def run_manage(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`manage.py` with these arguments, to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
