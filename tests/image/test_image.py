"""The image, run as docker-compose.yml describes: a whole training by real participants over HTTP."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from fl_server_demo.local_server import free_port
from tests.builders.waiting import wait_until
from tests.e2e.people import People
from tests.e2e.sites import Site
from tests.e2e.test_methods import PARTICIPANTS, check, start, student
from tests.image.containers import (
    READY_SECONDS,
    UID,
    Containers,
    engine,
    image,
    inspect,
    make_volume,
    podman,
    restrictions,
    running,
)

LONG_LIVED = ("web", "worker", "notifier", "control", "beat")
WITH_CHECKS = ("web", "worker", "notifier", "control")
NOT_OFFERED = {"hostname", "uid"}
"""Walls of the sandbox that a container without rights can't have."""
INBOX_PORT = free_port()

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Containers]]:
    with running(tmp_path_factory.mktemp("containers"), INBOX_PORT) as both:
        yield both


def in_image(*command: str) -> str:
    """What a command prints in a container of its own."""
    done = podman(*engine(), "run", "--rm", *restrictions(), image(), *command, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_training_goes_from_its_start_to_an_inference(server: tuple[Site, Containers]) -> None:
    site, containers = server
    with People(site, PARTICIPANTS, student, port=INBOX_PORT) as people:
        trained = start(people, 0, "FedAvg", "SWAG")
        check(people, trained)
        stored = people.actor.call("GET", f"/models/{trained.model}/").content
        output = people.actor.predict(trained.model, np.ones((3, 2), dtype=np.float32)).output
    assert len(output) == 3
    assert len(stored) in {path.stat().st_size for path in (containers.data / "files").rglob("*") if path.is_file()}
    assert {path.stat().st_uid for path in containers.data.rglob("*")} == {UID}


def test_every_process_is_healthy_has_no_rights_and_writes_nowhere_else(server: tuple[Site, Containers]) -> None:
    _site, containers = server
    for service in WITH_CHECKS:
        containers.wait_until_healthy(service)
    for service in LONG_LIVED:
        status = containers.inside(service, "cat", "/proc/1/status").stdout
        found = dict(line.split(":\t", 1) for line in status.splitlines())
        assert found["Uid"].split() == [str(UID)] * 4, service
        assert found["Gid"].split() == [str(UID)] * 4, service
        assert {int(found[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}, service
        assert found["NoNewPrivs"] == "1", service
        for place in ("/new", "/opt/fl-server/new", "/usr/new"):
            refused = containers.inside(service, "touch", place)
            assert "Read-only file system" in refused.stderr, (service, place)
        assert containers.inside(service, "touch", "/tmp/new").returncode == 0, service


def test_all_parts_are_ready_and_the_clock_ticks(server: tuple[Site, Containers]) -> None:
    site, _containers = server
    ready = httpx.get(f"{site.url}/readyz?strict", trust_env=False)
    assert ready.status_code == 200, ready.text
    assert httpx.get(f"{site.url}/livez", trust_env=False).text == "ok\n"


def test_models_run_behind_all_walls_that_a_container_can_have(server: tuple[Site, Containers]) -> None:
    _site, containers = server
    done = containers.inside("web", "python3", "-P", "-s", "-m", "fl_server_ai.sandbox.probe")
    assert set(json.loads(done.stdout)) <= NOT_OFFERED


def test_every_process_ends_when_it_is_told_to(server: tuple[Site, Containers]) -> None:
    _site, containers = server
    assert containers.stop() == dict.fromkeys(LONG_LIVED, 0)


def test_the_image_says_what_it_is_and_what_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    about = inspect()
    assert about["Config"]["User"] == f"{UID}:{UID}"
    assert set(about["Config"]["Volumes"]) == {"/data"}
    labels = about["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "fl-server"
    assert labels["org.opencontainers.image.version"] == in_image("fl-server", "--version").strip()
    parts = {one["name"].lower(): one["version"] for one in json.loads(in_image("cat", "/opt/sbom.json"))["components"]}
    assert parts["fl-server"] == labels["org.opencontainers.image.version"]
    assert {"django", "torch", "celery", "boto3"} <= parts.keys()
    assert not {"pytest", "mypy", "cyclonedx-bom", "pip"} & parts.keys()
    with capsys.disabled():
        sys.stdout.write(f"\nThe image has {about['Size'] / 1e6:.0f} MB.\n")


def test_it_starts_with_nothing_set_and_its_own_health_check_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, *check_health = inspect()["Healthcheck"]["Test"]
    assert kind == "CMD"
    # A network of its own, in which the image's port is free.
    words = ["run", "--detach", *restrictions(network="none"), "--volume", f"{make_volume(tmp_path)}:/data", image()]
    began = time.monotonic()
    name = podman(*engine(), *words).stdout.strip()
    try:
        wait_until(
            "the health check to pass",
            lambda: podman(*engine(), "exec", name, *check_health, check=False).returncode == 0,
            READY_SECONDS,
        )
        with capsys.disabled():
            sys.stdout.write(f"\nIt was ready {time.monotonic() - began:.1f} s after its start, on a new database.\n")
    finally:
        podman(*engine(), "rm", "--force", "--time", "5", name)
