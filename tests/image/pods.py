"""Pods of deploy/kubernetes, as far as podman can start them: Deployments, ConfigMaps, claims, secrets."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from fl_server_demo.local_server import free_port
from tests.builders.waiting import wait_until
from tests.e2e.sites import fresh_database, own_redis_database
from tests.house.test_kubernetes import FOLDER, rendered
from tests.image.containers import READY_SECONDS, engine, image, limits, podman

SECRET = "fl-server"
COMPONENTS = ("web", "worker")


class Pods:
    """The pods of the overlay `small`, on this machine's network."""

    def __init__(self, folder: Path, literals: dict[str, str]) -> None:
        self.port = free_port()
        self._folder = folder
        self._prefix = f"t{uuid4().hex[:8]}-"
        repository, _colon, tag = image().partition(":")
        overlay = {
            "namePrefix": self._prefix,
            "resources": [os.path.relpath(FOLDER / "small", folder)],
            "images": [{"name": "registry.example.org/fl-server", "newName": repository, "newTag": tag or "latest"}],
            "configMapGenerator": [
                {
                    "name": "fl-server",
                    "behavior": "merge",
                    "literals": [f"{name}={value}" for name, value in literals.items()],
                }
            ],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        self._manifests = rendered(str(folder))

    def migrate(self) -> None:
        """Play the job `migrate` to its end. It is a pod here: podman 4 knows no jobs."""
        (job,) = self._of_kind("Job")
        template = job["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{self._prefix}migrate"},
            "spec": template["spec"],
        }
        self._play("migrate", [*self._of_kind("ConfigMap", "PersistentVolumeClaim"), pod])
        name = f"{self._prefix}migrate-server"
        wait_until(f"migrations\n{podman('logs', name).stderr}", lambda: self._has_migrated(name), READY_SECONDS)
        podman(*engine(), "pod", "rm", "--force", f"{self._prefix}migrate")

    def start(self) -> None:
        self._play("server", [*self._of_kind("ConfigMap", "Deployment")])

    def container(self, component: str) -> str:
        return f"{self._prefix}{component}-pod-0-server"

    def inside(self, component: str, *command: str) -> tuple[int, str]:
        """The exit code and the output of a command in a component's container."""
        done = podman(*engine(), "exec", self.container(component), *command, check=False)
        return done.returncode, done.stdout + done.stderr

    def stop(self) -> list[str]:
        """End as the kubelet would; returns the exit codes."""
        names = [self.container(component) for component in COMPONENTS]
        podman(*engine(), "stop", "--time", "60", *names)
        return podman("inspect", "--format", "{{.State.ExitCode}}", *names).stdout.split()

    def close(self) -> None:
        pods = podman("pod", "ps", "--quiet", "--filter", f"name={self._prefix}").stdout.split()
        if pods:
            podman(*engine(), "pod", "rm", "--force", *pods)
        volumes = podman("volume", "ls", "--quiet", "--filter", f"name={self._prefix}").stdout.split()
        if volumes:
            podman("volume", "rm", *volumes)

    def _has_migrated(self, name: str) -> bool:
        return "sessions.0001_initial... OK" in podman("logs", name, check=False).stdout

    def _of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        return [self._for_podman(one) for one in self._manifests if one["kind"] in kinds]

    def _for_podman(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """On this machine's network, with a free port; podman takes one volume for all `emptyDir` of a name."""
        made = deepcopy(manifest)
        spec = made.get("spec", {}).get("template", {}).get("spec")
        if spec is None:
            return made
        (server,) = spec["containers"]
        server.pop("ports", None)
        server["args"] = [word.replace("8000", str(self.port)) for word in server["args"]]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            server.pop(probe, None)
        for one in [*server["volumeMounts"], *spec["volumes"]]:
            if one["name"] == "tmp":
                one["name"] = f"{made['metadata']['name']}-tmp"
        return made

    def _play(self, name: str, manifests: list[dict[str, Any]]) -> None:
        path = self._folder / f"{name}.play"
        path.write_text(yaml.safe_dump_all(manifests))
        settings = self._folder / "containers.conf"
        settings.write_text(f"[containers]\ndefault_ulimits = {json.dumps(limits())}\n")
        podman(*engine(), "kube", "play", "--network", "host", str(path), more={"CONTAINERS_CONF": str(settings)})


@contextmanager
def running_pods(folder: Path) -> Iterator[Pods]:
    """All of the overlay `small`, on a database of PostgreSQL and one of Redis of their own."""
    with ExitStack() as stack:
        connection = stack.enter_context(fresh_database())
        secret = {
            "FL_DJANGO_SECRET_KEY": f"{uuid4().hex}{uuid4().hex}",
            "FL_POSTGRES_PASSWD": str(connection["password"] or "none"),
            "FL_REDIS_LOCATION": stack.enter_context(own_redis_database()),
        }
        data = {name: base64.b64encode(value.encode()).decode() for name, value in secret.items()}
        (folder / "secret.json").write_text(json.dumps(data))
        podman("secret", "create", SECRET, str(folder / "secret.json"))
        stack.callback(podman, "secret", "rm", SECRET)
        pods = Pods(
            folder,
            {
                "FL_POSTGRES_HOST": str(connection["host"]),
                "FL_POSTGRES_PORT": str(connection["port"]),
                "FL_POSTGRES_DBNAME": str(connection["dbname"]),
                "FL_POSTGRES_USER": str(connection["user"]),
                "OMP_NUM_THREADS": "1",
            },
        )
        stack.callback(pods.close)
        pods.migrate()
        pods.start()
        yield pods
