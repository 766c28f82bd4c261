"""deploy/kubernetes: rendered by kustomize, checked against the schemas of Kubernetes, and against the server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap
from collections import Counter
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml
from django.conf import settings

from fl_server_api.monitoring.middleware import PROBES
from tests.house.commands_of_ours import CLOCK, is_setting, queues_served
from tests.server_process import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "kubernetes"
OVERLAYS = ("base", "small", "scaled")
OLDEST, NEWEST = "1.30", "1.37"
ELSEWHERE = ("keda.sh/v1alpha1",)
"""Kinds of others, whose schemas Kubernetes doesn't have."""
SECRETS = {"FL_DJANGO_SECRET_KEY", "FL_POSTGRES_PASSWD", "FL_REDIS_LOCATION", "FL_S3_ACCESS_KEY", "FL_S3_SECRET_KEY"}

pytestmark = pytest.mark.once


@cache
def rendered(overlay: str) -> tuple[dict[str, Any], ...]:
    """The manifests that `kubectl apply --kustomize` would send."""
    if shutil.which("kubectl") is None:
        reason = "kubectl is not installed: nothing renders the manifests"
        assert "REQUIRE_SERVICES" not in os.environ, reason
        pytest.skip(reason)
    words = ["kubectl", "kustomize", str(FOLDER / overlay)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, *kinds: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in rendered(overlay) if one["kind"] in kinds}


def pods(overlay: str) -> dict[str, dict[str, Any]]:
    return {name: one["spec"]["template"] for name, one in of_kind(overlay, "Deployment", "Job").items()}


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["spec"]["containers"]
    return dict(only)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_schemas_of_old_and_new_versions_take_every_manifest(overlay: str) -> None:
    checked = 0
    for manifest in rendered(overlay):
        if manifest["apiVersion"] in ELSEWHERE:
            continue
        for version in (OLDEST, NEWEST):
            kubernetes_validate.validate(manifest, version, strict=True)
            checked += 1
    assert checked >= 20


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_queue_and_the_clock_have_a_process_and_the_clock_has_one(overlay: str) -> None:
    served = Counter[str]()
    for name, deployment in of_kind(overlay, "Deployment").items():
        queues = queues_served(container(deployment["spec"]["template"])["args"])
        served.update(queues)
        if CLOCK in queues:
            assert deployment["spec"]["replicas"] == 1, name
            assert deployment["spec"]["strategy"] == {"type": "Recreate"}, name
    assert set(served) == {CLOCK, *(queue.name for queue in settings.CELERY_TASK_QUEUES)}
    assert served[CLOCK] == 1
    assert container(pods(overlay)["migrate"])["args"] == ["fl-server", "migrate"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_has_rights_or_writes_anywhere_but_to_its_volumes(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        spec, one = pod["spec"], container(pod)
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert {mount["mountPath"] for mount in one["volumeMounts"]} == {"/data", "/tmp"}, name
        assert {mount["name"] for mount in one["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}, name
        assert one["resources"]["limits"]["memory"], name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_set_are_settings_and_no_secret_is_among_them(overlay: str) -> None:
    (config,) = of_kind(overlay, "ConfigMap").values()
    assert [name for name in config["data"] if not is_setting(name)] == []
    assert not SECRETS & config["data"].keys()
    assert of_kind(overlay, "Secret") == {}
    for name, pod in pods(overlay).items():
        sources = container(pod)["envFrom"]
        assert sources == [{"configMapRef": {"name": config["metadata"]["name"]}}, {"secretRef": {"name": "fl-server"}}]
        # It is killed later than it has promised to end.
        promised = int(config["data"]["FL_DRAIN_SECONDS"]) + int(config["data"]["FL_STOP_SECONDS"])
        assert pod["spec"]["terminationGracePeriodSeconds"] > promised, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_names_that_manifests_use_are_there(overlay: str) -> None:
    claims = set(of_kind(overlay, "PersistentVolumeClaim"))
    for pod in pods(overlay).values():
        mounted = [volume["persistentVolumeClaim"] for volume in pod["spec"]["volumes"] if "emptyDir" not in volume]
        assert {one["claimName"] for one in mounted} == claims
        assert pod["spec"]["serviceAccountName"] in of_kind(overlay, "ServiceAccount")
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(overlay).items()}
    selectors = [
        *(one["spec"]["selector"] for one in of_kind(overlay, "Service").values()),
        *(one["spec"]["selector"]["matchLabels"] for one in of_kind(overlay, "PodDisruptionBudget").values()),
        *(one["spec"]["podSelector"]["matchLabels"] for one in of_kind(overlay, "NetworkPolicy").values()),
    ]
    for selector in selectors:
        assert any(selects(selector, found) for found in labels.values()), selector
    service = of_kind(overlay, "Service")["web"]["spec"]
    ports = container(pods(overlay)["web"])["ports"]
    assert service["ports"][0]["targetPort"] in {port["name"] for port in ports}
    (rule,) = of_kind(overlay, "Ingress")["web"]["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == "web"
    for one in of_kind(overlay, "ScaledObject").values():
        target = one["spec"]["scaleTargetRef"]["name"]
        (trigger,) = one["spec"]["triggers"]
        assert queues_served(container(pods(overlay)[target])["args"]) == {trigger["metadata"]["listName"]}


@pytest.mark.parametrize("components", [["backup"], ["backup", "bucket"]])
def test_a_backup_has_the_settings_the_files_and_the_rights_of_the_others(
    components: list[str], tmp_path: Path
) -> None:
    overlay = {
        "namespace": "elsewhere",
        "images": [{"name": "registry.example.org/fl-server", "newName": "ours.example.org/fl", "newTag": "7"}],
        "resources": [os.path.relpath(FOLDER / "base", tmp_path)],
        "components": [os.path.relpath(FOLDER / name, tmp_path) for name in components],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    manifests = {(one["kind"], one["metadata"]["name"]): one for one in rendered(str(tmp_path))}
    for version in (OLDEST, NEWEST):
        kubernetes_validate.validate(manifests["CronJob", "backup"], version, strict=True)
    assert manifests["CronJob", "backup"]["metadata"]["namespace"] == "elsewhere"
    backup = manifests["CronJob", "backup"]["spec"]["jobTemplate"]["spec"]["template"]
    worker = manifests["Deployment", "worker"]["spec"]["template"]
    for name in ("image", "envFrom", "securityContext"):
        assert container(backup)[name] == container(worker)[name], name
    for name in ("serviceAccountName", "securityContext", "automountServiceAccountToken", "enableServiceLinks"):
        assert backup["spec"][name] == worker["spec"][name], name
    assert backup["spec"]["volumes"][0] == worker["spec"]["volumes"][0]
    stores = manifests["NetworkPolicy", "stores"]["spec"]["podSelector"]["matchLabels"]
    assert selects(stores, backup["metadata"]["labels"])
    assert ("PersistentVolumeClaim", "backups") in manifests


def test_a_web_process_is_replaced_before_it_ends_and_asked_by_paths_that_it_has() -> None:
    web = of_kind("base", "Deployment")["web"]["spec"]
    assert web["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    for kind, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        get = container(web["template"])[kind]["httpGet"]
        assert get["path"] == path
        assert path in PROBES


STORES = {5432, 6379}


def destinations(overlay: str, component: str) -> dict[int, list[dict[str, Any]]]:
    """Where pods of a component may send to, by port; {} stands for anywhere."""
    labels = pods(overlay)[component]["metadata"]["labels"]
    allowed: dict[int, list[dict[str, Any]]] = {}
    for policy in of_kind(overlay, "NetworkPolicy").values():
        if selects(policy["spec"]["podSelector"]["matchLabels"], labels):
            for rule in policy["spec"].get("egress", []):
                for port in rule["ports"]:
                    allowed.setdefault(port["port"], []).extend(rule.get("to", [{}]))
    return allowed


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_process_reaches_more_of_the_internet_than_its_work_needs(overlay: str) -> None:
    for component in pods(overlay):
        allowed = destinations(overlay, component)
        assert allowed.keys() >= STORES | {53}, component
        for port in STORES | {53}:
            for one in allowed[port]:
                cidr = one.get("ipBlock", {}).get("cidr")
                assert one == {"namespaceSelector": {}} or ip_network(cidr).is_private, (component, port, one)
        needs_tls = (
            overlay == "scaled" or component in {"web", "notifier"} or (overlay, component) == ("small", "worker")
        )
        assert (443 in allowed) is needs_tls, component


def test_the_documentation_says_how_to_name_the_stores_alone(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/deployment.md").read_text(encoding="utf-8")
    (patch,) = re.findall(r"^   ```yaml\n(   patches:\n(?:   .*\n)+?)   ```$", page, re.MULTILINE)
    overlay = yaml.safe_load(textwrap.dedent(patch)) | {"resources": [os.path.relpath(FOLDER / "base", tmp_path)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    allowed = destinations(str(tmp_path), "worker")
    assert {one["ipBlock"]["cidr"] for port in STORES for one in allowed[port]} == {"10.20.30.40/32", "10.20.30.41/32"}
