"""Where a request comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings


def client_address(meta: Mapping[str, Any]) -> str:
    """The address of the client, from a request's META or a WSGI environ.

    It is the one that connected, unless that is a proxy that FL_TRUSTED_PROXIES names. Then it is the last one in
    X-Forwarded-For that is not such a proxy: what stands before it, the client may have written itself.
    """
    address = str(meta.get("REMOTE_ADDR") or "")
    if not is_trusted_proxy(address):
        return address
    for hop in reversed(str(meta.get("HTTP_X_FORWARDED_FOR") or "").split(",")):
        forwarded = _without_port(hop.strip())
        if not forwarded:
            return address
        address = forwarded
        if not is_trusted_proxy(address):
            return address
    return address


@lru_cache(maxsize=1024)
def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def is_trusted_proxy(address: str) -> bool:
    """Is it in one of the networks of FL_TRUSTED_PROXIES? Without an address, the connection is a local socket's."""
    networks = settings.FL_TRUSTED_PROXIES
    if not networks or not address:
        return bool(networks)
    parsed = _parsed(address)
    return parsed is not None and any(parsed in ipaddress.ip_network(network) for network in networks)


def _without_port(hop: str) -> str:
    """Some proxies write the port too: `192.0.2.1:5000`, `[2001:db8::1]:5000`. "" for what is not an address."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    return hop if _parsed(hop) is not None else ""
