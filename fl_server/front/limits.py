"""How long clients may take, and how many there may be."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from django.conf import settings

# Longer than the pools of common clients and proxies keep a connection: they should be the first to close.
KEEPALIVE_SECONDS = 75.0
# A refusal may reach the client while it still sends. A connection closed at once would lose it.
LINGER_SECONDS = 5.0
# Files that are open besides connections: models, the database, logs.
OTHER_FILES = 256


@dataclass(frozen=True)
class Limits:
    """header, silence: seconds; rate: bytes a second; connections: of this process; per_address: 0 is no bound."""

    header: float
    silence: float
    rate: int
    connections: int
    per_address: int
    keepalive: float = KEEPALIVE_SECONDS
    linger: float = LINGER_SECONDS


def limits_of_settings() -> Limits:
    """As set; connections are no more than this process may open files."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    connections: int = settings.FL_MAX_CONNECTIONS
    if soft != resource.RLIM_INFINITY:
        connections = max(1, min(connections, soft - OTHER_FILES))
    return Limits(
        header=settings.FL_HEADER_SECONDS,
        silence=settings.FL_SILENCE_SECONDS,
        rate=settings.FL_MIN_BYTES_PER_SECOND,
        connections=connections,
        per_address=settings.FL_MAX_CONNECTIONS_PER_ADDRESS,
    )
