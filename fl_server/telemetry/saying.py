"""What a process says to whoever starts it, whatever the level of the log. It is as JSON where the log is."""

from __future__ import annotations

import logging
import sys

from django.conf import settings

from fl_server.telemetry.log_lines import line_formatter


def is_json() -> bool:
    """Are lines of the log objects?"""
    return bool(settings.LOGGING["formatters"]["line"]["style"] == "json")


def said(text: str, level: int = logging.INFO) -> str:
    """The text as a process writes it: as it is, or an object for each of its lines."""
    if not is_json():
        return text
    form, name = line_formatter("json"), logging.getLevelName(level)
    values = {"name": "fl_server", "levelno": level, "levelname": name}
    return "\n".join(form.format(logging.makeLogRecord({**values, "msg": line})) for line in text.splitlines())


def say(text: str, level: int = logging.INFO) -> None:
    """Write it to stderr."""
    sys.stderr.write(f"{said(text, level)}\n")
    sys.stderr.flush()
