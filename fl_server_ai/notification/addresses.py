"""Where notifications may go: which addresses and which ports."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that the internet routes. Python takes some of what lies outside, such as fec0::/10, for global."""
OF_A_CLOUD = ipaddress.IPv4Address("168.63.129.16")
"""Where Azure tells a machine its secrets. It looks like a public address; those of other clouds don't."""
WITH_IPV4_AT_THE_END = (
    ipaddress.IPv6Network("::ffff:0:0/96"),  # mapped
    ipaddress.IPv6Network("::/96"),  # compatible; :: and ::1 are not global as IPv4 addresses, either
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64
)


@dataclass(frozen=True)
class AddressPolicy:
    """Allows the addresses of the public internet and those of the networks named; and these ports, None: all."""

    networks: tuple[Network, ...] = ()
    ports: frozenset[int] | None = None

    def permits(self, text: str) -> bool:
        """May the address be connected to? What leads to IPv4 counts as the IPv4 addresses that it leads to."""
        address = ipaddress.ip_address(text)
        if self._is_named(address):
            return True
        inner = list(embedded(address))
        if inner:
            return all(self._is_named(each) or _is_public(each) for each in inner)
        return _is_public(address)

    def permits_port(self, port: int) -> bool:
        """May the port be connected to?"""
        return self.ports is None or port in self.ports

    def _is_named(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def embedded(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses to which a transition form of IPv6 leads: none, one, or two (Teredo's server and client).

    Not those of 64:ff9b:1::/48: where in it they stand, and what they lead to, only the network's operator knows. It is
    not public.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return
    if any(address in network for network in WITH_IPV4_AT_THE_END):
        yield ipaddress.IPv4Address(address.packed[-4:])
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and (address not in GLOBAL_UNICAST or address.scope_id is not None):
        return False  # an address with a zone is one of a link of this machine
    return address.is_global and not address.is_multicast and address != OF_A_CLOUD
