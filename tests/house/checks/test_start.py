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


def test_a_variable_that_nobody_reads_is_a_warning(settings: Settings) -> None:
    settings.FL_UNKNOWN_VARIABLES = ["FL_WEB_THREDS isn't a setting. Did you mean FL_WEB_THREADS?"]
    assert ids() == ["fl_server.W052"]
    (sentence,) = checks.refuse_misconfiguration()
    assert sentence.startswith("fl_server.W052: The environment variable FL_WEB_THREDS isn't a setting. Did you mean ")
    settings.SILENCED_SYSTEM_CHECKS = ["fl_server.W052"]
    assert checks.refuse_misconfiguration() == []


@pytest.mark.parametrize(
    ("location", "is_right"),
    [
        ("redis://h", True),
        ("rediss://:p@h:6379/1", True),
        ("redis://h/1?db=2", True),
        ("unix:///run/redis.sock", True),
        ("redis.example.org:6379", False),
        ("http://h/1", False),
        ("redis://h/one", False),
        ("redis://h:99999999/1", False),
        ("redis://[h/1", False),
    ],
)
def test_what_is_no_address_of_redis_is_refused(
    machines: None, settings: Settings, location: str, is_right: bool
) -> None:
    settings.FL_REDIS_LOCATION = location
    assert ids() == ([] if is_right else ["fl_server.E026"])
