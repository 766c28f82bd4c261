"""Which addresses notifications may go to."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import Settings

from fl_server_ai.notification.client import Accepted, NoAnswer, post
from fl_server_ai.notification.network import AddressPolicy
from fl_server_ai.notification.sending import address_policy
from tests.ai.notification.listener import PATIENCE, listening


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
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
    ],
)
def test_internal_addresses_are_refused(address: str) -> None:
    assert not AddressPolicy().permits(address)


@pytest.mark.parametrize(("address", "expected"), [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("10.2.0.1", False)])
def test_the_networks_named_are_permitted(address: str, expected: bool) -> None:
    assert AddressPolicy((ipaddress.ip_network("10.1.0.0/16"),)).permits(address) is expected


def test_a_laptop_may_notify_itself(settings: Settings) -> None:
    settings.FL_PRODUCTION = False
    assert address_policy() is None


def test_in_production_the_setting_names_the_networks(settings: Settings) -> None:
    settings.FL_PRODUCTION = True
    settings.FL_NOTIFICATION_ALLOWED_NETWORKS = ["10.1.0.0/16", "fd00:1::/32"]
    assert address_policy() == AddressPolicy((ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32")))


def test_a_refused_address_is_not_connected_to_and_not_tried_again() -> None:
    with listening() as listener:
        outcome = post(listener.url, {}, delivery_id=uuid4(), seconds=PATIENCE, policy=AddressPolicy())
    assert isinstance(outcome, NoAnswer)
    assert outcome.is_permanent
    assert "127.0.0.1" in outcome.error
    assert listener.heard == []


def test_an_address_of_a_network_named_is_connected_to() -> None:
    policy = AddressPolicy((ipaddress.ip_network("127.0.0.0/8"),))
    with listening() as listener:
        assert post(listener.url, {}, delivery_id=uuid4(), seconds=PATIENCE, policy=policy) == Accepted(200)


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
        endpoint = f"http://rebound.example:{listener.port}/"
        outcome = post(endpoint, {}, delivery_id=uuid4(), seconds=PATIENCE, policy=policy)
    assert isinstance(outcome, NoAnswer)
    assert len(asked) == 1
    assert listener.heard == []
