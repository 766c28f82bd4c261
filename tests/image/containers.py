"""Containers of the image as docker-compose.yml describes them: no root, no rights, a file system to read only."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from fl_server_demo.local_server import free_port
from tests.builders.waiting import wait_until
from tests.e2e.sites import Site, fresh_database, own_redis_database
from tests.faults.harness.ledger import Ledger, PostgresDatabase
from tests.house.test_compose import compose
from tests.server_process import REPOSITORY, server_environment

UID = 10001
READY_SECONDS = 120.0
FILES, TASKS = 16384, 4096
IN_COMPOSE = "--host 0.0.0.0 --port 8000"


def image() -> str:
    """The name of the image under test."""
    return os.environ["TEST_IMAGE"]


def podman(
    *words: str, check: bool = True, seconds: float = 120, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run podman to its end. more: variables on top of ours."""
    done = subprocess.run(
        ["podman", *words],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd=REPOSITORY,
        env=os.environ | dict(more or {}),
    )
    assert not check or done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done


def inspect() -> dict[str, Any]:
    """What podman knows of the image."""
    (found,) = json.loads(podman("image", "inspect", image()).stdout)
    return dict(found)


def limits() -> list[str]:
    """podman would raise these limits, which needs rights that this machine may lack."""
    files = min(FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    return [f"nofile={files}:{files}", f"nproc={TASKS}:{TASKS}"]


def restrictions(network: str = "host") -> list[str]:
    """The options of `podman run` for what the compose file asks of every service."""
    return [
        *("--network", network, "--uts", "private", "--pull", "never", "--no-healthcheck"),
        *("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp"),
        *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
        *(f"--ulimit={limit}" for limit in limits()),
    ]


def engine() -> list[str]:
    """podman's own options, for machines on which systemd doesn't run and cgroups have two versions at once."""
    return ["--runtime", "runc", "--cgroup-manager", "cgroupfs"]


def make_volume(folder: Path) -> Path:
    """A folder for /data, as an engine makes a volume of it: of the image's user."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    os.chown(data, UID, UID)
    return data


class Containers:
    """One server: its services by their names in the compose file. `close` ends them."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self._batch = f"fl-test-{uuid4().hex[:8]}"
        self._environment = environment
        self._services = compose()["services"]
        self._data = make_volume(folder)
        self._started: list[str] = []

    @property
    def data(self) -> Path:
        """The volume, as this machine sees it."""
        return self._data

    def command(self, service: str) -> list[str]:
        """As the compose file has it, but on loopback and a port of the test's."""
        text: str = self._services[service]["command"]
        return text.replace(IN_COMPOSE, f"--host 127.0.0.1 --port {self.port}").split()

    def run(self, service: str) -> str:
        """The output of a service that ends by itself."""
        return podman(*self._words(service, "--rm"), image(), *self.command(service)).stdout

    def start(self, service: str) -> None:
        self._started.append(service)
        podman(*self._words(service, "--detach"), image(), *self.command(service))

    def inside(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's container."""
        return podman(*engine(), "exec", self._name(service), *command, check=False)

    def is_healthy(self, service: str) -> bool:
        """What the compose file's health check says."""
        kind, *words = self._services[service]["healthcheck"]["test"]
        words = [word.replace(":8000", f":{self.port}").replace("$$", "$") for word in words]
        return self.inside(service, *(["sh", "-c", *words] if kind == "CMD-SHELL" else words)).returncode == 0

    def wait_until_healthy(self, service: str) -> None:
        wait_until(f"{service} to be healthy\n{self.logs(service)}", lambda: self._is_up(service), READY_SECONDS)

    def logs(self, service: str) -> str:
        done = podman("logs", self._name(service), check=False)
        return done.stdout + done.stderr

    def stop(self) -> dict[str, int]:
        """End all as an engine would, at once; returns their exit codes."""
        names = [self._name(service) for service in self._started]
        podman(*engine(), "stop", "--time", "60", *names)
        codes = podman("inspect", "--format", "{{.State.ExitCode}}", *names).stdout.split()
        return {service: int(code) for service, code in zip(self._started, codes, strict=True)}

    def close(self) -> None:
        names = [self._name(service) for service in self._started]
        podman(*engine(), "rm", "--force", "--time", "5", *names, check=False)

    def _is_up(self, service: str) -> bool:
        state = podman("inspect", "--format", "{{.State.Status}}", self._name(service)).stdout.strip()
        assert state == "running", f"{service} has ended:\n{self.logs(service)}"
        return self.is_healthy(service)

    def _words(self, service: str, *more: str) -> list[str]:
        given = [word for name, value in self._environment.items() for word in ("--env", f"{name}={value}")]
        volume = ["--volume", f"{self._data}:/data"]
        return [*engine(), "run", *more, *restrictions(), *self._named(service), *volume, *given]

    def _named(self, service: str) -> list[str]:
        return ["--name", self._name(service), "--hostname", service]

    def _name(self, service: str) -> str:
        return f"{self._batch}-{service}"


@contextmanager
def running(folder: Path, inbox_port: int) -> Iterator[tuple[Site, Containers]]:
    """All services of the compose file that are ours, on a database of PostgreSQL and one of Redis of their own."""
    with ExitStack() as stack:
        connection = stack.enter_context(fresh_database())
        settings = {
            "DJANGO_SETTINGS_MODULE": "fl_server.settings.production",
            "FL_POSTGRES_HOST": str(connection["host"]),
            "FL_POSTGRES_PORT": str(connection["port"]),
            "FL_POSTGRES_USER": str(connection["user"]),
            "FL_POSTGRES_PASSWD": str(connection["password"]),
            "FL_POSTGRES_DBNAME": str(connection["dbname"]),
            "FL_REDIS_LOCATION": stack.enter_context(own_redis_database()),
            "FL_DJANGO_SECRET_KEY": f"{uuid4().hex}{uuid4().hex}",
            "FL_SHARED_FILES": "true",
            "FL_NOTIFICATION_ALLOWED_NETWORKS": "127.0.0.0/8",
            "FL_NOTIFICATION_PORTS": str(inbox_port),
            # Users of these tests are made without anybody's consent.
            "FL_ENROLMENT": "open",
            "FL_ACTORS": "everyone",
            "OMP_NUM_THREADS": "1",
        }
        containers = Containers(folder, settings)
        stack.callback(containers.close)
        containers.run("migrate")
        services = [name for name, one in compose()["services"].items() if one["image"] == "fl-server"]
        for service in services:
            if service != "migrate":
                containers.start(service)
        containers.wait_until_healthy("web")
        environment = server_environment(folder / "outside") | settings
        ledger = Ledger(PostgresDatabase(connection))
        yield Site(f"http://127.0.0.1:{containers.port}", environment, ledger, "containers"), containers


def missing_programs() -> list[str]:
    """What these tests need and this machine lacks."""
    return [name for name in ("podman", "runc") if shutil.which(name) is None]
