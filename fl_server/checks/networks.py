"""Networks must be written as networks: whom the server writes to, whom it believes, who may watch it."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks

SHORTEST_TOKEN = 20


def check_networks(**_: Any) -> Iterator[checks.CheckMessage]:
    """Networks that notifications may go to must be written as networks."""
    for name in settings.FL_NOTIFICATION_ALLOWED_NETWORKS:
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            yield checks.Error(
                f"FL_NOTIFICATION_ALLOWED_NETWORKS: {error}.",
                hint="Name networks such as 10.1.0.0/16 or fd00::/8, without bits of a host.",
                id="fl_server.E004",
            )


def check_monitoring(**_: Any) -> Iterator[checks.CheckMessage]:
    """Who may read the figures must be written as networks, or be hard to guess."""
    for name in settings.FL_METRICS_NETWORKS:
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            yield checks.Error(
                f"FL_METRICS_NETWORKS: {error}.",
                hint="Name networks such as 10.1.0.0/16 or fd00::/8, without bits of a host.",
                id="fl_server.E009",
            )
    if settings.FL_METRICS_TOKEN and len(settings.FL_METRICS_TOKEN) < SHORTEST_TOKEN:
        yield checks.Warning(
            f"FL_METRICS_TOKEN has fewer than {SHORTEST_TOKEN} characters, and nobody counts how often it is guessed.",
            hint="Set it to the output of: openssl rand -hex 32",
            id="fl_server.W008",
        )


def check_proxies(**_: Any) -> Iterator[checks.CheckMessage]:
    """Networks of proxies must be written as networks; and a proxy that ends TLS should be among them."""
    for name in settings.FL_TRUSTED_PROXIES:
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            yield checks.Error(
                f"FL_TRUSTED_PROXIES: {error}.",
                hint="Name networks such as 10.1.0.5/32 or fd00::/8, without bits of a host.",
                id="fl_server.E006",
            )
    if settings.FL_PRODUCTION and getattr(settings, "FL_BEHIND_TLS_PROXY", False) and not settings.FL_TRUSTED_PROXIES:
        yield checks.Warning(
            "All clients behind the proxy count as one address: whoever guesses passwords shuts all of them out.",
            hint="Name the proxy's network in FL_TRUSTED_PROXIES.",
            id="fl_server.W005",
        )
