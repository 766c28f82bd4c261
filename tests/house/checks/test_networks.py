"""What the checks say of networks and proxies."""

import pytest
from pytest_django import Settings

from tests.house.checks.found import ids

pytestmark = pytest.mark.once


def test_networks_of_proxies_are_networks(settings: Settings) -> None:
    settings.FL_TRUSTED_PROXIES = ["10.1.0.5", "10.1.0.0/16", "fd00::/8"]
    assert ids() == []
    settings.FL_TRUSTED_PROXIES = ["10.1.0.5/16", "proxy"]
    assert ids() == ["fl_server.E006", "fl_server.E006"]


def test_who_may_read_figures_is_a_network_or_hard_to_guess(settings: Settings) -> None:
    settings.FL_METRICS_NETWORKS = ["10.1.0.0/16"]
    settings.FL_METRICS_TOKEN = 20 * "x"
    assert ids() == []
    settings.FL_METRICS_NETWORKS = ["10.1.0.5/16", "prometheus"]
    settings.FL_METRICS_TOKEN = 19 * "x"
    assert ids() == ["fl_server.E009", "fl_server.E009", "fl_server.W008"]


def test_a_proxy_that_is_not_trusted_is_a_warning_in_production(settings: Settings) -> None:
    settings.FL_BEHIND_TLS_PROXY = True
    assert ids() == []
    settings.FL_PRODUCTION = True
    assert ids() == ["fl_server.W005"]
    settings.FL_TRUSTED_PROXIES = ["10.1.0.5"]
    assert ids() == []
