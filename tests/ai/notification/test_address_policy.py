"""Which addresses notifications may go to."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import Settings

from fl_server_ai.notification.addresses import AddressPolicy
from fl_server_ai.notification.client import Accepted, NoAnswer, Outcome, post
from fl_server_ai.notification.network import ADDRESS_REFUSED, PORT_REFUSED
from fl_server_ai.notification.sending import address_policy
from tests.ai.notification.listener import PATIENCE, SECRET, closed_port, listening


def send(endpoint: str, policy: AddressPolicy) -> Outcome:
    return post(endpoint, {}, delivery_id=uuid4(), secrets=[SECRET], seconds=PATIENCE, policy=policy)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "::8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2001:0:808:808:0:ffff:fefe:fefe",  # Teredo, of the client 1.1.1.1 (inverted) at the server 8.8.8.8
    ],
)
def test_public_addresses_are_permitted(address: str) -> None:
    assert AddressPolicy().permits(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "168.63.129.16",
        "::ffff:168.63.129.16",
        "fd00:ec2::254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%1",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::10.0.0.1",
        "::127.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::10.0.0.1",
        "64:ff9b:1:a00:0:100::",  # 10.0.0.1 where a prefix of 48 bits has it
        "64:ff9b:1::8.8.8.8",
        "2002:a00:1::1",
        "2002:7f00:1::",
        "2001:0:808:808:0:ffff:f5ff:fffe",  # Teredo, of the client 10.0.0.1
        "2001:0:a00:1:0:ffff:fefe:fefe",  # at the server 10.0.0.1
        "fec0::1",
        "fec0::1%eth0",
        "2606:4700::1111%eth0",
        "4000::1",
    ],
)
def test_internal_addresses_are_refused(address: str) -> None:
    assert not AddressPolicy().permits(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("10.2.0.1", False),
        ("2002:a01:203::", True),
        ("64:ff9b::10.1.2.3", True),
        ("64:ff9b:1::10.1.2.3", False),
    ],
)
def test_the_networks_named_are_permitted(address: str, expected: bool) -> None:
    assert AddressPolicy((ipaddress.ip_network("10.1.0.0/16"),)).permits(address) is expected


@pytest.mark.parametrize(
    ("network", "address"),
    [("64:ff9b:1::/48", "64:ff9b:1::8.8.8.8"), ("fec0::/10", "fec0::1"), ("fe80::/10", "fe80::1%eth0")],
)
def test_an_operator_may_name_any_network(network: str, address: str) -> None:
    assert AddressPolicy((ipaddress.ip_network(network),)).permits(address)


def test_a_laptop_may_notify_itself(settings: Settings) -> None:
    settings.FL_PRODUCTION = False
    assert address_policy() is None


def test_in_production_the_settings_name_the_networks_and_ports(settings: Settings) -> None:
    settings.FL_PRODUCTION = True
    settings.FL_NOTIFICATION_ALLOWED_NETWORKS = ["10.1.0.0/16", "fd00:1::/32"]
    settings.FL_NOTIFICATION_PORTS = [8101]
    networks = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32"))
    assert address_policy() == AddressPolicy(networks, frozenset({80, 443, 8101}))


@pytest.fixture
def internal_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """db.internal is at 10.0.0.7, cache.internal at loopback and at a link-local address."""
    known = {b"db.internal": ["10.0.0.7"], b"cache.internal": ["127.0.0.1", "fe80::1%eth0"]}
    original = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if host not in known:
            return original(host, port, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.usefixtures("internal_names")
def test_every_refused_address_gets_the_same_sentence_whatever_is_there(caplog: pytest.LogCaptureFixture) -> None:
    with listening() as listener:
        endpoints = [
            listener.url,
            f"http://127.0.0.1:{closed_port()}/",
            f"http://[::1]:{listener.port}/",
            "http://db.internal/",
            f"http://cache.internal:{listener.port}/",
        ]
        outcomes = [send(endpoint, AddressPolicy()) for endpoint in endpoints]
    assert outcomes == [NoAnswer(ADDRESS_REFUSED, is_permanent=True)] * 5
    assert listener.heard == []
    assert "10.0.0.7" in caplog.text  # for the operator alone
    assert "127.0.0.1, fe80::1%eth0" in caplog.text


def test_a_port_that_the_operator_has_not_named_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def look_up(host: object, *_args: object, **_kwargs: object) -> list[object]:
        asked.append(host)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    outcomes = [
        send("http://example.com:8101/", AddressPolicy(ports=frozenset({80, 443, 8102}))),
        send("https://example.com:80/", AddressPolicy(ports=frozenset({443}))),
    ]
    assert outcomes == [NoAnswer(PORT_REFUSED, is_permanent=True)] * 2
    assert asked == []


def test_an_address_of_a_network_named_is_connected_to_at_a_port_named() -> None:
    with listening() as listener:
        policy = AddressPolicy((ipaddress.ip_network("127.0.0.0/8"),), frozenset({listener.port}))
        assert send(listener.url, policy) == Accepted(200)


def test_a_name_is_resolved_once_so_that_what_was_checked_is_what_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = socket.getaddrinfo
    asked = []

    def public_first(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if host not in (b"rebound.example", "rebound.example"):
            return original(host, port, *args, **kwargs)
        asked.append(host)
        address = "127.0.0.2" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", public_first)
    policy = AddressPolicy((ipaddress.ip_network("127.0.0.2/32"),))
    with listening() as listener:
        outcome = send(f"http://rebound.example:{listener.port}/", policy)
    assert isinstance(outcome, NoAnswer)
    assert len(asked) == 1
    assert listener.heard == []
