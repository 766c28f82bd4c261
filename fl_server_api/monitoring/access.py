"""Who may read figures, and what exactly fails."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.crypto import constant_time_compare

from fl_server_api.client_address import client_address, is_trusted_proxy

FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA", "HTTP_X_FORWARDED_HOST")


def may_read_details(meta: Mapping[str, Any]) -> bool:
    """One that knows FL_METRICS_TOKEN, one in FL_METRICS_NETWORKS, or, if FL_METRICS_LOOPBACK, one on this machine?"""
    if _has_token(meta) or _is_in_named_network(meta):
        return True
    return bool(settings.FL_METRICS_LOOPBACK) and _is_on_this_machine(meta)


def _has_token(meta: Mapping[str, Any]) -> bool:
    scheme, _, token = str(meta.get("HTTP_AUTHORIZATION", "")).strip().partition(" ")
    expected = settings.FL_METRICS_TOKEN
    return bool(expected) and scheme.lower() == "bearer" and constant_time_compare(token.strip(), expected)


def _is_on_this_machine(meta: Mapping[str, Any]) -> bool:
    """False for clients of a proxy on this machine, even one that the settings don't know."""
    address = str(meta.get("REMOTE_ADDR") or "")
    if any(name in meta for name in FORWARDED) or is_trusted_proxy(address):
        return False
    if settings.FL_BEHIND_TLS_PROXY and not settings.FL_TRUSTED_PROXIES:
        return False  # the proxy may be on this machine
    return _is_in(address, ("127.0.0.0/8", "::1/128"))


def _is_in_named_network(meta: Mapping[str, Any]) -> bool:
    """By its own address: that of a proxy, which may be in the network, says nothing of whom the proxy speaks for."""
    address, connected = client_address(meta), str(meta.get("REMOTE_ADDR") or "")
    if is_trusted_proxy(address) or (not is_trusted_proxy(connected) and any(name in meta for name in FORWARDED)):
        return False
    return _is_in(address, settings.FL_METRICS_NETWORKS)


def _is_in(address: str, networks: tuple[str, ...] | list[str]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in ipaddress.ip_network(network) for network in networks)
