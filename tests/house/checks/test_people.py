"""What the checks say of how people come in and what they see."""

import pytest
from pytest_django import Settings

from fl_server.checks import people
from tests.house.checks.found import ids

pytestmark = pytest.mark.once


def test_open_doors_are_fine_on_a_laptop_and_a_warning_in_production(settings: Settings) -> None:
    settings.FL_ENROLMENT, settings.FL_ACTORS, settings.FL_SHOW_CONTACTS = "open", "everyone", True
    assert ids() == []
    settings.FL_PRODUCTION = True
    assert ids() == ["fl_server.W020", "fl_server.W021", "fl_server.W022"]


def test_sign_in_at_a_provider_needs_a_client_there_and_tls(settings: Settings) -> None:
    settings.FL_OIDC_ISSUER = "http://login.example.org"
    assert ids() == ["fl_server.E008"]
    settings.FL_OIDC_CLIENT_ID = settings.FL_OIDC_CLIENT_SECRET = "x"
    assert ids() == []
    settings.FL_PRODUCTION = True
    assert ids() == ["fl_server.W006"]
    settings.FL_OIDC_ISSUER = "https://login.example.org"
    assert ids() == []


def test_sign_in_at_a_provider_needs_its_library(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FL_OIDC_ISSUER = "http://login.example.org"
    settings.FL_OIDC_CLIENT_ID = settings.FL_OIDC_CLIENT_SECRET = "x"
    monkeypatch.setattr(people, "find_spec", lambda _name: None)
    assert ids() == ["fl_server.E007"]
