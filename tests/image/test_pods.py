"""Our manifests, started by `podman kube play`: the commands, settings, volumes and rights of their pods."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.builders.waiting import wait_until
from tests.house.test_kubernetes import container, pods
from tests.image.containers import READY_SECONDS, UID
from tests.image.pods import COMPONENTS, Pods, running_pods

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    with running_pods(tmp_path_factory.mktemp("pods")) as running:
        yield running


def answers_well(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_the_probes_pass_and_every_queue_and_the_clock_have_a_process(cluster: Pods) -> None:
    web = container(pods("small")["web"])
    paths = [web[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    for path in (*paths, "/readyz?strict"):
        url = f"http://127.0.0.1:{cluster.port}{path}"
        wait_until(f"{path} to answer 200", lambda url=url: answers_well(url), READY_SECONDS, pause=0.5)  # type: ignore[misc]


def test_no_pod_has_rights_or_writes_anywhere_but_to_its_volumes_which_they_share(cluster: Pods) -> None:
    for component in COMPONENTS:
        _code, status = cluster.inside(component, "cat", "/proc/1/status")
        found = dict(line.split(":\t", 1) for line in status.splitlines())
        assert found["Uid"].split() == [str(UID)] * 4, component
        assert {int(found[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}, component
        assert found["NoNewPrivs"] == "1", component
        assert "Read-only file system" in cluster.inside(component, "touch", "/new")[1], component
        assert cluster.inside(component, "touch", "/tmp/new", f"/data/{component}") == (0, ""), component
    assert set(COMPONENTS) <= set(cluster.inside("web", "ls", "/data")[1].split())


def test_every_pod_ends_when_it_is_told_to(cluster: Pods) -> None:
    assert cluster.stop() == ["0", "0"]
