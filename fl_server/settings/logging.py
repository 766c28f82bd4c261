"""What is logged, and where to."""

import sys
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


# Loggers of Celery's that tell of the broker with a traceback.
OF_THE_BROKER = ("beat", "bootsteps", "worker.request", "worker.consumer.consumer")
FORMATS = ("text", "json")
ACCESS = "fl_server.access"
"""The logger of the lines of requests (`fl_server_api/request_log.py`)."""


def logging_settings(env: Environment, *, log_file: Path | None, is_production: bool = False) -> dict[str, Any]:
    """Django's LOGGING: to stderr, and to the file if there is one.

    As text for whoever looks at a terminal, or develops; as JSON for what collects the lines of a production server.
    """
    level = env.choice("FL_LOG_LEVEL", "INFO", LEVELS)
    style = env.word("FL_LOG_FORMAT", "json" if is_production and not is_terminal() else "text", FORMATS)
    access = "INFO" if env.boolean("FL_ACCESS_LOG", True) else "WARNING"
    handlers: dict[str, dict[str, Any]] = {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}}
    if log_file is not None:
        handlers["file"] = {
            "class": "fl_server.telemetry.logs.DataFolderFileHandler",
            "filename": log_file,
            "maxBytes": 10 * 1024 * 1024,
            "backupCount": 5,
            "formatter": "line",
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "seldom": {"()": "fl_server.telemetry.logs.Seldom"},
            "not_of_clients": {"()": "fl_server.telemetry.logs.NotOfClients"},
            "made_up_for": {"()": "fl_server.telemetry.away.MadeUpFor"},
            "deeply_made_up_for": {"()": "fl_server.telemetry.away.MadeUpFor", "deep": True},
        },
        "formatters": {"line": {"()": "fl_server.telemetry.log_lines.line_formatter", "style": style}},
        "handlers": handlers,
        "root": {"handlers": list(handlers), "level": "WARNING"},
        "loggers": {
            **{name: {"level": level} for name in ("fl_server", "fl_server_core", "fl_server_ai", "fl_server_api")},
            ACCESS: {"level": access},
            "celery": {"level": env.choice("CELERY_LOG_LEVEL", "WARNING", LEVELS)},
            # Who runs tasks, and who asks for them, when a service is away.
            "celery.app.trace": {"filters": ["made_up_for"]},
            **{f"celery.{name}": {"filters": ["deeply_made_up_for"]} for name in OF_THE_BROKER},
            # Django's own handlers would write each of these lines a second time.
            "django": {"handlers": [], "level": "WARNING", "propagate": True},
            # A 4xx is the client's error.
            "django.request": {"level": "ERROR", "filters": ["not_of_clients"]},
            **{f"django.security.{name}": {"filters": ["seldom"]} for name in SUSPICIONS},
            # A collector that is away: one line a minute, not one for each batch.
            "opentelemetry.exporter": {"level": "ERROR"},
            "opentelemetry.exporter.otlp.proto.http.trace_exporter": {"filters": ["seldom"]},
            "django.server": {"handlers": [], "level": "INFO", "propagate": True},
        },
    }


def is_terminal() -> bool:
    """Does somebody look at stderr?"""
    return sys.stderr is not None and sys.stderr.isatty()
