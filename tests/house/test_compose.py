"""docker-compose.yml, as far as it can be read without an engine."""

from __future__ import annotations

import re
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


def test_participants_in_the_network_of_the_services_may_be_notified() -> None:
    document = compose()
    (network,) = document["networks"]["default"]["ipam"]["config"]
    allowed = document["services"]["web"]["environment"]["FL_NOTIFICATION_ALLOWED_NETWORKS"]
    assert re.fullmatch(r"\$\{FL_NOTIFICATION_ALLOWED_NETWORKS:-(.+)\}", allowed)[1] == network["subnet"]  # type: ignore[index]


def test_what_it_sets_are_settings() -> None:
    known = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    for name in compose()["services"]["web"]["environment"]:
        assert re.search(rf"^#?{name}=", known, re.MULTILINE), name
