"""Many processes: PostgreSQL, Redis, two web processes, two workers and beat, all the suite's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg2  # type: ignore[import-untyped]  # it has no stubs

from fl_server_demo.local_server import free_port
from tests.builders.waiting import wait_until
from tests.faults.harness.ledger import Ledger, PostgresDatabase
from tests.faults.harness.processes import Process, accepts_connections
from tests.faults.harness.proxy import Address
from tests.faults.harness.site import SETTINGS, Site
from tests.server_process import REPOSITORY, server_environment

WORKERS = ("worker-1", "worker-2")
WEBS = ("web-1", "web-2")
SERVICES_USER = "postgres"
POSTGRES_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # The machine lives: what the system has been given is written, whatever becomes of the processes.
    "fsync": "off",
    "max_connections": "200",
}


def postgres_binaries() -> Path | None:
    """The folder with initdb, of the newest version; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


def missing_programs() -> list[str]:
    """One sentence for each service that is not installed."""
    missing = [] if postgres_binaries() else ["PostgreSQL's initdb is not in /usr/lib/postgresql/*/bin."]
    return missing if shutil.which("redis-server") else [*missing, "redis-server is not installed."]


NEWER = "tests.faults.harness.newer"
WAITING_FOR_HISTORY = """
    SELECT a.application_name, a.client_port FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.relation = 'fl_server_core_event'::regclass AND NOT l.granted
"""


@dataclass(frozen=True)
class Holder:
    """Who is in the middle of closing a round: the name of a worker, and the port of its child's connection."""

    name: str
    port: int


class Cluster(Site):
    """Everything is started by the constructor and ended by `close`."""

    def __init__(self, people: int) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="fl-faults-"))
        self.root.chmod(0o711)  # PostgreSQL, which must not run as root, has its folder in here
        self.folder = self.root / "data"
        self.postgres_port, self.redis_port = free_port(), free_port()
        self.ports = {name: free_port() for name in WEBS}
        self.connection = {"host": "127.0.0.1", "port": self.postgres_port, "user": "postgres", "dbname": "postgres"}
        self.ledger = Ledger(PostgresDatabase(self.connection))
        self.others: list[Process] = []
        self.processes = {process.name: process for process in (self._postgres(), self._redis(), *self._servers())}
        try:
            self._make_database()
            self.heal()
            self.settle(people)
        except BaseException:
            self.close()
            raise

    @property
    def environment(self) -> dict[str, str]:
        return server_environment(self.folder) | {
            **SETTINGS,
            "FL_POSTGRES_HOST": "127.0.0.1",
            "FL_POSTGRES_PORT": str(self.postgres_port),
            "FL_POSTGRES_USER": "postgres",
            "FL_POSTGRES_DBNAME": "postgres",
            "FL_REDIS_LOCATION": self.redis_url,
            "CELERY_LOG_LEVEL": "INFO",
        }

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.redis_port}/1"

    def web_addresses(self) -> list[Address]:
        return [("127.0.0.1", port) for port in self.ports.values()]

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    def heal(self) -> None:
        self["postgres"].start()
        self["redis"].start()
        self["web-1"].start()  # the first one migrates
        for process in self.processes.values():
            process.start(wait=False)
        for process in self.processes.values():
            process.start()

    def logs(self) -> str:
        # Those that have ended last, where they are read first.
        others = [process for process in self.others if process.is_alive]
        processes = sorted([*self.processes.values(), *others], key=lambda process: process.is_alive, reverse=True)
        return "\n".join(
            f"== {process.name}{'' if process.is_alive else ', which has ended'}\n{process.tail(15)}"
            for process in processes
        )

    def close(self) -> None:
        self.dismiss()
        for name, process in reversed(self.processes.items()):
            if name == "postgres":  # its processes leave its group, and end at its word
                process.stop(signal.SIGQUIT)
            process.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def restart_postgres(self) -> None:
        """End PostgreSQL as a crash would, without a checkpoint, and start it: it recovers from its log."""
        self["postgres"].stop(signal.SIGQUIT)
        self["postgres"].start()

    @contextmanager
    def held_closing(self) -> Iterator[Callable[[], Holder]]:
        """Hold up the next worker that is about to write the result of a round; the caller yields who it is.

        The history's table is locked: nothing else of the closing transaction's beginning, and of uploads, needs it.
        """
        with closing(psycopg2.connect(**self.connection)) as connection, connection.cursor() as cursor:
            cursor.execute("LOCK TABLE fl_server_core_event IN SHARE MODE")
            yield self._wait_for_holder
            with suppress(psycopg2.Error):  # PostgreSQL itself may have been restarted
                connection.rollback()

    def _wait_for_holder(self) -> Holder:
        found: list[Holder] = []

        def is_found() -> bool:
            rows = self.ledger.database.rows(WAITING_FOR_HISTORY)
            found.extend(Holder(str(name), int(port)) for name, port in rows if name in WORKERS)
            return bool(found)

        wait_until("a worker to close a round", is_found)
        return found[0]

    def _make_database(self) -> None:
        home, binaries = self.root / "postgres", postgres_binaries()
        assert binaries is not None
        home.mkdir(mode=0o700)
        user = _services_user()
        if user is not None:
            shutil.chown(home, user, user)
        subprocess.run(
            [binaries / "initdb", "-D", home, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"],
            cwd="/",
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            check=True,
            capture_output=True,
            timeout=120,
        )

    def _postgres(self) -> Process:
        binaries = postgres_binaries()
        assert binaries is not None
        options = [word for name, value in POSTGRES_OPTIONS.items() for word in ("-c", f"{name}={value}")]
        command = [str(binaries / "postgres"), "-D", str(self.root / "postgres"), "-p", str(self.postgres_port)]
        return Process(
            "postgres",
            [*command, *options],
            folder=self.root,
            environment=dict(os.environ),
            directory=Path("/"),
            user=_services_user(),
            is_ready=lambda _process: self._answers(),
        )

    def _answers(self) -> bool:
        try:
            psycopg2.connect(**self.connection).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _redis(self) -> Process:
        command = ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly"]
        return Process(
            "redis",
            [*command, "no"],
            folder=self.root,
            environment=dict(os.environ),
            directory=self.root,
            is_ready=lambda _process: accepts_connections(self.redis_port),
        )

    def _servers(self) -> list[Process]:
        celery = [sys.executable, "-m", "celery", "-A", "fl_server"]
        webs = [
            self._server(name, [sys.executable, "manage.py", "serve", "--port", str(port)], "Serving on")
            for name, port in self.ports.items()
        ]
        workers = [
            self._server(name, [*celery, "worker", "-n", f"{name}@localhost", "--concurrency", "2"], "ready.")
            for name in WORKERS
        ]
        return [*webs, *workers, self._server("beat", [*celery, "beat"], "")]

    def _server(self, name: str, command: list[str], sign: str, **settings: str) -> Process:
        return Process(
            name,
            command,
            folder=self.root,
            # PostgreSQL tells by it which process holds or awaits a lock.
            environment=self.environment | {"PGAPPNAME": name} | settings,
            directory=REPOSITORY,
            is_ready=lambda process: sign in process.output(),
        )

    def other(self, name: str, *command: str, sign: str, **settings: str) -> Process:
        """A process with settings of its own; `command` for Python."""
        process = self._server(name, [sys.executable, *command], sign, **settings)
        self.others.append(process)
        return process

    def newer(self, name: str, *words: str, sign: str) -> Process:
        """A process of a version that needs more migrations; `words` for manage.py or, in front of them, a module."""
        first = list(words) if words[0] == "-m" else ["manage.py", *words]
        return self.other(name, *first, sign=sign, DJANGO_SETTINGS_MODULE=NEWER)

    def wait_for_workers(self) -> None:
        """Return once both workers take tasks."""
        wait_until("the workers", lambda: all("ready." in self[name].output() for name in WORKERS))


def _services_user() -> str | None:
    return SERVICES_USER if os.geteuid() == 0 else None
