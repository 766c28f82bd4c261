"""The compose file in a folder of its own, with the settings that docs/deployment.md names, and people who use it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np

from fl_server_demo.digits import load_samples, save_share, split_by_dirichlet
from tests.builders.waiting import wait_until
from tests.house.test_compose import OURS, PROFILES, STORES, compose
from tests.image.compose.docker import Docker
from tests.image.containers import image
from tests.server_process import REPOSITORY

PROXY = "172.31.117.2"
NOT_TO_BE_HAD = "grafana"
"""The one service whose program Debian doesn't have."""
OTHERS = ("postgres", "redis", "caddy", "prometheus")
"""Services that run images of others: here, those that ./build-others makes."""
SERVICES = [name for name in (*OURS, *STORES, *PROFILES) if name not in ("migrate", NOT_TO_BE_HAD)]
PASSWORD = token_hex(16)
PATIENCE = 240.0


@dataclass
class Stack:
    """The services of the compose file. `folder` has the file, what it mounts, and .env."""

    docker: Docker
    folder: Path
    people: list[str] = field(default_factory=list)

    def compose(self, *words: str, seconds: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `docker compose`, with all profiles."""
        command = ["docker-compose", "--profile", "*", "--ansi", "never", *words]
        return self.docker.call(command, self.folder, seconds=seconds, check=check)

    def up(self) -> None:
        """Start what isn't running, and start anew what has changed, as docs/deployment.md says."""
        self.compose("up", "--detach", *SERVICES)

    def states(self) -> dict[str, dict[str, Any]]:
        """What the engine says of each service's container."""
        ids = self.compose("ps", "--all", "--quiet").stdout.split()
        found = json.loads(self.docker.run("inspect", *ids).stdout) if ids else []
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}

    def unhealthy(self) -> dict[str, str]:
        """The services that aren't up, or whose health check hasn't passed yet."""
        states = {name: one["State"] for name, one in self.states().items() if name != "migrate"}
        passed = {name: one.get("Health", {}).get("Status", one["Status"]) for name, one in states.items()}
        return {name: status for name, status in passed.items() if status not in ("healthy", "running")}

    def wait_until_healthy(self) -> None:
        wait_until("all services to be healthy", lambda: not self.unhealthy(), PATIENCE, pause=1)

    def inside(self, service: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's container."""
        return self.compose("exec", "--no-TTY", service, *words, check=check)

    def invite(self, number: int) -> list[str]:
        """Codes with which people can register."""
        return self.inside("web", "fl-server", "invite", "--count", str(number)).stdout.split()

    def make_actor(self, username: str) -> None:
        """A superuser, who may start trainings."""
        words = ["exec", "--no-TTY", "--env", f"DJANGO_SUPERUSER_PASSWORD={PASSWORD}", "web", "fl-server"]
        self.compose(*words, "createsuperuser", "--noinput", "--username", username, "--email", f"{username}@localhost")

    def add_participants(self, number: int) -> None:
        """Start participants of the demo, in containers that join the network fl-participants."""
        samples = load_samples()
        generator = np.random.default_rng(1)
        shares = split_by_dirichlet(samples.y, number, alpha=1.0, generator=generator)
        for index, (code, share) in enumerate(zip(self.invite(number), shares, strict=True)):
            name = f"participant-{index}"
            data = self.folder / f"{name}.npz"
            save_share(data, samples[share], generator)
            data.chmod(0o644)
            # fmt: off
            self.docker.run(
                "run", "--detach", "--name", name, "--network", "fl-participants", "--read-only", "--tmpfs", "/tmp",
                "--volume", f"{data}:/own.npz:ro", "--env", f"FL_PASSWORD={PASSWORD}", "--no-healthcheck", "fl-server",
                "python3", "-m", "fl_server_demo.participant", "--server", "http://web:8000", "--username", name,
                "--invitation", code, "--data", "/own.npz", "--host", "0.0.0.0", "--port", "8101",
                "--endpoint", f"http://{name}:8101/", "--accept",
            )
            # fmt: on
            self.people.append(name)

    def logs(self) -> str:
        """The last lines of everyone."""
        words = [self.compose("logs", "--no-color", "--tail", "40", check=False).stdout]
        words += [self.docker.run("logs", "--tail", "40", name, check=False).stderr for name in self.people]
        return "\n".join(words)


@contextmanager
def stack(docker: Docker, folder: Path) -> Iterator[Stack]:
    """The services, with TLS and figures; started, but perhaps not yet healthy."""
    services = compose()["services"]
    docker.load(
        {f"localhost/fl-server-others:{name}": services[name]["image"] for name in OTHERS} | {image(): "fl-server"}
    )
    shutil.copy(REPOSITORY / "docker-compose.yml", folder)
    for name in ("caddy", "prometheus", "grafana"):
        shutil.copytree(REPOSITORY / "deploy" / name, folder / "deploy" / name)
    token = token_hex(24)
    settings = {
        "FL_POSTGRES_PASSWD": token_hex(24),
        "FL_REDIS_PASSWD": token_hex(24),
        "FL_DJANGO_SECRET_KEY": token_hex(48),
        "COMPOSE_PROJECT_NAME": "fl-test",
        "FL_METRICS_TOKEN": token,
        "FL_DOMAIN": "localhost",
        "FL_BEHIND_TLS_PROXY": "true",
        "FL_TRUSTED_PROXIES": f"{PROXY}/32",
    }
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "metrics_token").write_text(f"{token}\n", encoding="utf-8")
    (folder / "secrets" / "grafana_password").write_text(token_hex(24), encoding="utf-8")
    running = Stack(docker, folder)
    running.up()
    yield running
