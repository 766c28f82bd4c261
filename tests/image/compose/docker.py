"""An engine of the test's own: Debian's Docker, which `make test-compose` unpacks."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.builders.waiting import wait_until
from tests.faults.harness.processes import Process
from tests.server_process import REPOSITORY

UNPACKED = Path(sys.prefix) / "docker" / "usr"
NEEDED = ("dockerd", "docker", "docker-compose", "containerd", "runc", "iptables")


def search_path() -> str:
    """Where the programs are: unpacked, or installed."""
    return f"{UNPACKED}/bin:{UNPACKED}/sbin:{os.environ['PATH']}:/usr/sbin:/sbin"


def missing() -> list[str]:
    """What an engine needs and this machine lacks, each in a few words."""
    lacking = [name for name in NEEDED if shutil.which(name, path=search_path()) is None]
    if [name for _number, name in socket.if_nameindex()] != ["lo"]:
        # It writes rules of the firewall, and takes the ports that the compose file names.
        lacking.append("a network of its own (make test-compose)")
    return lacking


class Docker:
    """Runs `docker` at one engine. Containers, images and volumes are gone with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.environment = {
            "PATH": search_path(),
            "HOME": str(folder),
            "DOCKER_HOST": f"unix://{folder}/docker.sock",
        }

    def run(
        self, *words: str, seconds: float = 120, check: bool = True, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker` to its end."""
        return self.call(["docker", *words], REPOSITORY, seconds=seconds, check=check, more=more)

    def call(
        self,
        command: list[str],
        where: Path,
        *,
        seconds: float,
        check: bool = True,
        more: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program that talks to this engine to its end."""
        done = subprocess.run(
            command,
            cwd=where,
            env=self.environment | dict(more or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done

    def load(self, tags: Mapping[str, str]) -> None:
        """Take images from podman. tags: the name here of each name there."""
        archive = self._folder / "images.tar"
        words = ["podman", "save", "--quiet", "--multi-image-archive", "--output", str(archive), *tags]
        subprocess.run(words, check=True, timeout=300, capture_output=True)
        self.run("load", "--quiet", "--input", str(archive), seconds=300)
        archive.unlink()
        for theirs, ours in tags.items():
            self.run("tag", theirs, ours)


@contextmanager
def engine(folder: Path) -> Iterator[Docker]:
    """Start an engine, and end it with all that it holds."""
    docker = Docker(folder)
    data = folder / "data"
    words = ["dockerd", "--host", docker.environment["DOCKER_HOST"], "--data-root", str(data), "--group", "root"]
    words += ["--exec-root", str(folder / "exec"), "--pidfile", str(folder / "dockerd.pid")]
    daemon = Process(
        "dockerd",
        words,
        folder=folder,
        environment=docker.environment,
        directory=folder,
        is_ready=lambda _process: docker.run("version", check=False).returncode == 0,
    )
    daemon.start()
    try:
        yield docker
    finally:
        everything = docker.run("ps", "--all", "--quiet").stdout.split()
        if everything:
            docker.run("rm", "--force", "--volumes", *everything)
        daemon.stop()
        wait_until("the engine to end", lambda: not daemon.is_alive)
        shutil.rmtree(data, ignore_errors=True)
