"""The settings that the checks look at, as on a laptop and as on several machines."""

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def laptop(settings: Settings) -> None:
    """One process on SQLite, with nothing else set."""
    settings.FL_PRODUCTION = False
    settings.FL_EMBEDDED = True
    settings.FL_SECRET_KEY_IS_LOCAL = True
    settings.FL_POSTGRES_HOST = ""
    settings.FL_ENROLMENT, settings.FL_ACTORS, settings.FL_SHOW_CONTACTS = "consent", "flagged", False


@pytest.fixture
def machines(settings: Settings) -> None:
    """Several machines in production, as they should be set up."""
    settings.FL_PRODUCTION = True
    settings.FL_EMBEDDED = False
    settings.FL_SECRET_KEY_IS_LOCAL = False
    settings.FL_SHARED_FILES = True
    settings.FL_POSTGRES_HOST = "db"
