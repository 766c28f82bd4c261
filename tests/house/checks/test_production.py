"""What the checks say of a server that others reach."""

import pytest
from pytest_django import Settings

from tests.house.checks.found import ids

pytestmark = pytest.mark.once


def test_a_secret_key_of_one_machine_is_a_warning_where_there_are_several(machines: None, settings: Settings) -> None:
    settings.FL_SECRET_KEY_IS_LOCAL = True
    assert ids() == ["fl_server.W001"]


def test_files_that_may_be_on_one_machine_alone_are_a_warning(machines: None, settings: Settings) -> None:
    settings.FL_SHARED_FILES = False
    assert ids() == ["fl_server.W002"]
    settings.FL_S3_BUCKET = "models"
    assert ids() == []


def test_origins_without_bounds_are_a_warning_in_production(settings: Settings) -> None:
    settings.CORS_ALLOW_ALL_ORIGINS = True
    assert ids() == []
    settings.FL_PRODUCTION = True
    assert ids() == ["fl_server.W003"]


def test_hsts_without_tls_is_a_warning_in_production(settings: Settings) -> None:
    settings.FL_PRODUCTION, settings.FL_BEHIND_TLS_PROXY, settings.SECURE_HSTS_SECONDS = True, False, 3600
    settings.FL_TRUSTED_PROXIES = ["10.1.0.5"]
    assert ids() == ["fl_server.W007"]
    settings.FL_BEHIND_TLS_PROXY = True
    assert ids() == []
