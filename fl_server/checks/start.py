"""What a process needs to start: readable settings, a data folder, a database that fits its broker."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from redis.connection import parse_url


def check_environment(**_: Any) -> list[checks.CheckMessage]:
    """Every variable must be readable as what it stands for."""
    return [
        checks.Error(problem, hint="Correct the setting, or remove it.", id="fl_server.E003")
        for problem in settings.FL_ENVIRONMENT_PROBLEMS
    ]


def check_variables(**_: Any) -> list[checks.CheckMessage]:
    """A misspelt variable is ignored, and its default stands."""
    return [
        checks.Warning(
            f"The environment variable {sentence}",
            hint="It has no effect. Correct its name, or remove it. `fl-server config` prints all settings.",
            id="fl_server.W052",
        )
        for sentence in settings.FL_UNKNOWN_VARIABLES
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


def check_redis(**_: Any) -> Iterator[checks.CheckMessage]:
    """Redis' location must be one, with the number of a database: what can't be read as one would count as none."""
    location = settings.FL_REDIS_LOCATION
    if not location:
        return
    try:
        is_socket, path = location.startswith("unix:"), urlsplit(location).path.strip("/")
        parts = parse_url(location)  # type: ignore[no-untyped-call]
        is_usable = "db" in parts or is_socket or not path
    except ValueError:
        is_usable = False
    if not is_usable:
        yield checks.Error(
            "FL_REDIS_LOCATION must be an address of Redis, such as redis://:password@host:6379/1.",
            hint="It begins with redis:// or rediss://, and ends with the number of a database.",
            id="fl_server.E026",
        )


def check_data_folder(**_: Any) -> Iterator[checks.CheckMessage]:
    """Files, uploads under way and perhaps the database live there."""
    if settings.FL_DATA_DIR_PROBLEM:
        yield checks.Error(
            settings.FL_DATA_DIR_PROBLEM,
            hint="Make the folder writable for the user who runs the server, or set FL_DATA_DIR to another one.",
            id="fl_server.E002",
        )
