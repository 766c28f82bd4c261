"""What is logged, and where to."""

from pathlib import Path
from typing import Any

from fl_server.settings.environment import Environment

# The requests that Django finds suspicious and strangers can make: each has a logger of its own.
SUSPICIONS = (
    "DisallowedHost",
    "DisallowedModelAdminLookup",
    "DisallowedModelAdminToField",
    "DisallowedRedirect",
    "RequestDataTooBig",
    "SuspiciousFileOperation",
    "SuspiciousOperation",
    "TooManyFieldsSent",
    "TooManyFilesSent",
    "csrf",
)
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def logging_settings(env: Environment, *, log_file: Path | None) -> dict[str, Any]:
    """Django's LOGGING: to stderr, and to the file if there is one."""
    level = env.choice("FL_LOG_LEVEL", "INFO", LEVELS)
    handlers: dict[str, dict[str, Any]] = {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}}
    if log_file is not None:
        handlers["file"] = {
            "class": "fl_server.logs.DataFolderFileHandler",
            "filename": log_file,
            "maxBytes": 10 * 1024 * 1024,
            "backupCount": 5,
            "formatter": "line",
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "seldom": {"()": "fl_server.logs.Seldom"},
            "not_of_clients": {"()": "fl_server.logs.NotOfClients"},
        },
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": handlers,
        "root": {"handlers": list(handlers), "level": "WARNING"},
        "loggers": {
            **{name: {"level": level} for name in ("fl_server", "fl_server_core", "fl_server_ai", "fl_server_api")},
            "celery": {"level": env.choice("CELERY_LOG_LEVEL", "WARNING", LEVELS)},
            # Django's own handlers would write each of these lines a second time.
            "django": {"handlers": [], "level": "WARNING", "propagate": True},
            # A 4xx is the client's error.
            "django.request": {"level": "ERROR", "filters": ["not_of_clients"]},
            **{f"django.security.{name}": {"filters": ["seldom"]} for name in SUSPICIONS},
            "django.server": {"handlers": [], "level": "INFO", "propagate": True},
        },
    }
