"""What a process needs to start: readable settings, a data folder, a database that fits its broker."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks


def check_environment(**_: Any) -> list[checks.CheckMessage]:
    """Every variable must be readable as what it stands for."""
    return [
        checks.Error(problem, hint="Correct the setting, or remove it.", id="fl_server.E003")
        for problem in settings.FL_ENVIRONMENT_PROBLEMS
    ]


def check_config_file(**_: Any) -> Iterator[checks.CheckMessage]:
    """Secrets in the configuration file are for its owner's eyes."""
    if settings.FL_CONFIG_EXPOSED:
        yield checks.Warning(
            f"The configuration file {settings.FL_CONFIG_EXPOSED} holds secrets, and other users can read it.",
            hint=f"Run: chmod 600 {settings.FL_CONFIG_EXPOSED}",
            id="fl_server.W050",
        )


def check_database_and_broker(**_: Any) -> Iterator[checks.CheckMessage]:
    """Redis is there to reach other processes, and these need a database that they can share."""
    if not settings.FL_EMBEDDED and not settings.FL_POSTGRES_HOST:
        yield checks.Error(
            "Redis is set, but PostgreSQL is not: the processes would not share a database.",
            hint="Set FL_POSTGRES_HOST, or remove FL_REDIS_HOST and FL_REDIS_LOCATION.",
            id="fl_server.E001",
        )


def check_data_folder(**_: Any) -> Iterator[checks.CheckMessage]:
    """Files, uploads under way and perhaps the database live there."""
    if settings.FL_DATA_DIR_PROBLEM:
        yield checks.Error(
            settings.FL_DATA_DIR_PROBLEM,
            hint="Make the folder writable for the user who runs the server, or set FL_DATA_DIR to another one.",
            id="fl_server.E002",
        )
