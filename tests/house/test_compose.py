"""docker-compose.yml, as far as it can be read without an engine."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import yaml
from django.conf import settings

from tests.house.commands_of_ours import CLOCK, is_setting, queues_served
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


OURS = ("migrate", "web", "worker", "notifier", "control", "beat")
STORES = ("postgres", "redis")
PROFILES = {"caddy": ["proxy"], "prometheus": ["monitoring"], "grafana": ["monitoring"]}


def test_every_process_has_its_service_and_no_key_stands_twice() -> None:
    services = compose()["services"]
    assert set(services) == {*OURS, *STORES, *PROFILES}
    for name in OURS:
        assert services[name]["environment"] == services["web"]["environment"]
        assert services[name]["volumes"] == ["files:/data"]
    assert {name: service["profiles"] for name, service in services.items() if "profiles" in service} == PROFILES


def test_every_queue_and_the_clock_have_a_process_of_their_own() -> None:
    commands = [compose()["services"][name]["command"].split() for name in OURS]
    served = sorted(queue for command in commands for queue in queues_served(command))
    assert served == sorted([CLOCK, *(queue.name for queue in settings.CELERY_TASK_QUEUES)])


def test_nothing_starts_before_the_database_is_up_to_date() -> None:
    services = compose()["services"]
    assert services["migrate"]["command"] == "fl-server migrate"
    assert services["migrate"]["restart"] == "no"
    assert set(services["migrate"]["depends_on"]) == set(STORES)
    assert "--no-migrate" in services["web"]["command"].split()
    for name in OURS[1:]:
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_no_container_has_rights_or_a_file_system_to_write_to() -> None:
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else []), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["healthcheck"] if name != "migrate" else True, name


def test_every_image_of_others_has_a_major_version_and_every_file_is_there() -> None:
    document = compose()
    for name, service in document["services"].items():
        if name in OURS:
            assert service["image"] == "fl-server"
            continue
        assert re.search(r":v?\d+(\.\d+\.\d+)?(-alpine)?$", service["image"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            known = (REPOSITORY / source).exists() if source.startswith("./") else source in document["volumes"]
            assert known, (name, source)
        assert set(service.get("secrets", [])) <= set(document["secrets"])


def test_the_proxy_has_an_address_that_no_other_service_is_given_by_chance() -> None:
    document = compose()
    (network,) = document["networks"]["default"]["ipam"]["config"]
    address = ip_address(document["services"]["caddy"]["networks"]["default"]["ipv4_address"])
    assert address in ip_network(network["subnet"])
    assert address not in ip_network(network["ip_range"])
    documented = (REPOSITORY / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert f"FL_TRUSTED_PROXIES={address}/32" in documented


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
    page = (REPOSITORY / "docs/deployment.md").read_text(encoding="utf-8")
    assert needed == {"FL_POSTGRES_PASSWD", "FL_REDIS_PASSWD", "FL_DJANGO_SECRET_KEY"}
    assert [name for name in needed if f"{name}=%s" not in page] == []


def test_what_it_sets_are_settings() -> None:
    assert [name for name in compose()["services"]["web"]["environment"] if not is_setting(name)] == []
