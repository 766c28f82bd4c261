"""Who may read figures and details."""

from __future__ import annotations

from typing import Any

import pytest

from fl_server_api.monitoring.access import may_read_details

HERE, PROXY, STRANGER = "127.0.0.1", "10.1.0.5", "192.0.2.7"
TOKEN = "a-token-of-the-test-that-is-long-enough"


@pytest.mark.parametrize("address", [HERE, "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_programs_on_this_machine_may(address: str) -> None:
    assert may_read_details({"REMOTE_ADDR": address})


@pytest.mark.parametrize("address", [STRANGER, "10.0.0.1", "", "unix:", "127.0.0.1.example.org"])
def test_others_may_not(address: str) -> None:
    assert not may_read_details({"REMOTE_ADDR": address})


@pytest.mark.parametrize(
    "header", ["HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA", "HTTP_X_FORWARDED_HOST"]
)
def test_those_behind_a_proxy_on_this_machine_may_not_even_if_nobody_has_named_it(header: str) -> None:
    assert not may_read_details({"REMOTE_ADDR": HERE, header: HERE})


def test_who_says_that_it_is_here_is_not_believed(settings: Any) -> None:
    settings.FL_TRUSTED_PROXIES = ["10.1.0.0/16"]
    for forwarded in (HERE, f"{HERE}, {PROXY}", f"{HERE}, {STRANGER}", ""):
        assert not may_read_details({"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": forwarded})
    settings.FL_TRUSTED_PROXIES = ["127.0.0.1/32"]
    assert not may_read_details({"REMOTE_ADDR": HERE})
    settings.FL_TRUSTED_PROXIES, settings.FL_BEHIND_TLS_PROXY = [], True
    assert not may_read_details({"REMOTE_ADDR": HERE})


def test_those_in_named_networks_may_by_the_address_that_a_proxy_tells(settings: Any) -> None:
    settings.FL_METRICS_NETWORKS = ["192.0.2.0/28"]
    assert may_read_details({"REMOTE_ADDR": STRANGER})
    assert not may_read_details({"REMOTE_ADDR": "192.0.2.17"})
    assert not may_read_details({"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": STRANGER})
    settings.FL_TRUSTED_PROXIES = ["10.1.0.5/32"]
    assert may_read_details({"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": f"198.51.100.1, {STRANGER}"})
    assert not may_read_details({"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": f"{STRANGER}, 198.51.100.1"})


def test_a_proxy_in_a_named_network_does_not_let_everybody_in(settings: Any) -> None:
    settings.FL_METRICS_NETWORKS = ["10.0.0.0/8"]
    assert may_read_details({"REMOTE_ADDR": PROXY})
    assert not may_read_details({"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": STRANGER})  # nobody named the proxy
    settings.FL_TRUSTED_PROXIES = ["10.1.0.5/32"]
    told: list[dict[str, str]] = [{}, {"HTTP_X_FORWARDED_FOR": "unknown"}, {"HTTP_FORWARDED": f"for={STRANGER}"}]
    for forwarded in told:
        assert not may_read_details({"REMOTE_ADDR": PROXY, **forwarded})
    assert may_read_details({"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": "10.2.0.1"})


def test_those_with_the_token_may_and_no_token_is_no_token(settings: Any) -> None:
    meta = {"REMOTE_ADDR": STRANGER, "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}
    assert not may_read_details(meta)
    assert not may_read_details({"REMOTE_ADDR": STRANGER, "HTTP_AUTHORIZATION": "Bearer "})
    settings.FL_METRICS_TOKEN = TOKEN
    assert may_read_details(meta)
    for wrong in (f"Bearer {TOKEN}x", f"Token {TOKEN}", TOKEN, "Bearer", "Bearer é", ""):
        assert not may_read_details({"REMOTE_ADDR": STRANGER, "HTTP_AUTHORIZATION": wrong})


def test_programs_on_this_machine_need_the_token_or_a_network_where_loopback_is_closed(settings: Any) -> None:
    """A proxy on this machine that adds no header would make everyone a program on this machine."""
    settings.FL_METRICS_TOKEN = TOKEN
    assert may_read_details({"REMOTE_ADDR": HERE})
    settings.FL_METRICS_LOOPBACK = False
    assert not may_read_details({"REMOTE_ADDR": HERE})
    assert may_read_details({"REMOTE_ADDR": HERE, "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"})
    settings.FL_METRICS_NETWORKS = ["127.0.0.1/32"]
    assert may_read_details({"REMOTE_ADDR": HERE})
