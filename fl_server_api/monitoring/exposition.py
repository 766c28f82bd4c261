"""The figures as Prometheus reads them."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from fl_server_api.monitoring.collecting import LookedUp
from fl_server_api.monitoring.counting import REGISTRY, counting
from fl_server_api.monitoring.paths import FOLDER_VARIABLE


def exposition(accepted: str) -> tuple[bytes, str]:
    """All figures, and the Content-Type, in a format that the header Accept names."""
    counting()
    registry = CollectorRegistry()
    if os.environ.get(FOLDER_VARIABLE):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has types in part
    else:
        registry.register(REGISTRY)
    registry.register(LookedUp())
    encode, content_type = choose_encoder(accepted)
    return encode(registry), content_type
