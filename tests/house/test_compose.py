"""docker-compose.yml, as far as it can be read without an engine."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import yaml
from django.conf import settings

from tests.server_process import REPOSITORY

pytestmark = pytest.mark.once


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, as Docker does."""


def _mapping(loader: StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    names = [key.value for key, _value in node.value if key.tag != "tag:yaml.org,2002:merge"]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"twice in line {node.start_mark.line + 1}: {twice}"
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def compose() -> dict[str, Any]:
    content = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.load(content, Loader=StrictLoader)
    return document


def test_every_process_has_its_service_and_no_key_stands_twice() -> None:
    services = compose()["services"]
    assert set(services) == {"web", "worker", "notifier", "control", "beat", "postgres", "redis"}
    for name in ("web", "worker", "notifier", "control", "beat"):
        assert services[name]["environment"] == services["web"]["environment"]
        assert services[name]["volumes"] == ["files:/data"]


def test_every_queue_has_a_worker_of_its_own() -> None:
    commands = [str(service.get("command", "")) for service in compose()["services"].values()]
    served = [found[1] for command in commands if (found := re.search(r" worker .*--queues (\S+)", command))]
    assert sorted(served) == sorted(queue.name for queue in settings.CELERY_TASK_QUEUES)


def default_of(value: str) -> str:
    """The default of a variable: `${NAME:-default}`."""
    found = re.fullmatch(r"\$\{\w+:-(.+)\}", value)
    assert found, value
    return found[1]


def test_notifications_may_go_to_a_network_that_holds_participants_and_no_service_of_ours() -> None:
    document = compose()
    (network,) = document["networks"]["participants"]["ipam"]["config"]
    allowed = default_of(document["services"]["web"]["environment"]["FL_NOTIFICATION_ALLOWED_NETWORKS"])
    assert allowed == network["ip_range"]
    given_to_participants = ip_network(allowed)
    assert given_to_participants.subnet_of(ip_network(network["subnet"]))  # type: ignore[arg-type]
    present = {
        name: service["networks"]["participants"]["ipv4_address"]
        for name, service in document["services"].items()
        if "participants" in service.get("networks", {})
    }
    assert set(present) == {"web", "notifier"}  # the one for participants to reach, the other to reach them
    for address in (*present.values(), network["gateway"]):
        assert ip_address(address) in ip_network(network["subnet"])
        assert ip_address(address) not in given_to_participants


def test_the_stores_are_out_of_the_participants_reach_and_ask_for_passwords() -> None:
    services = compose()["services"]
    for name in ("postgres", "redis"):
        assert "networks" not in services[name]
        assert "ports" not in services[name]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${FL_POSTGRES_PASSWD:?")
    assert services["redis"]["environment"] == {"REDISCLI_AUTH": "${FL_REDIS_PASSWD:?set it in .env}"}
    assert '--requirepass "$$REDISCLI_AUTH"' in services["redis"]["command"][-1]
    location = services["web"]["environment"]["FL_REDIS_LOCATION"]
    assert re.fullmatch(r"redis://:\$\{FL_REDIS_PASSWD:\?[^}]+\}@redis:6379/1", location)


def test_the_documentation_makes_every_secret_that_must_be_set() -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")))
    page = (REPOSITORY / "docs/how-to/several-machines.md").read_text(encoding="utf-8")
    assert needed == {"FL_POSTGRES_PASSWD", "FL_REDIS_PASSWD", "FL_DJANGO_SECRET_KEY"}
    assert [name for name in needed if f"{name}=%s" not in page] == []


def test_what_it_sets_are_settings() -> None:
    known = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    for name in compose()["services"]["web"]["environment"]:
        assert re.search(rf"^#?{name}=", known, re.MULTILINE), name
