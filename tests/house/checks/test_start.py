"""What the checks say of what a process needs to start."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from fl_server import checks
from tests.house.checks.found import ids

pytestmark = pytest.mark.once


def test_redis_without_postgres_is_refused(settings: Settings) -> None:
    settings.FL_EMBEDDED = False
    assert ids() == ["fl_server.E001"]
    with pytest.raises(ImproperlyConfigured, match=r"fl_server\.E001.*FL_POSTGRES_HOST"):
        checks.refuse_misconfiguration()


def test_a_data_folder_that_cannot_be_written_is_refused(settings: Settings) -> None:
    settings.FL_DATA_DIR_PROBLEM = "The data folder /nowhere cannot be made."
    assert ids() == ["fl_server.E002"]


def test_each_malformed_variable_is_an_error(settings: Settings) -> None:
    settings.FL_ENVIRONMENT_PROBLEMS = ["A is wrong.", "B is wrong."]
    assert ids() == ["fl_server.E003", "fl_server.E003"]
