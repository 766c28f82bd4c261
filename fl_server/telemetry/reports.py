"""Reports of errors to Sentry, or to a server that speaks its protocol, if FL_SENTRY_DSN is set.

Every error that this server doesn't foresee is in the log with its traceback, whichever part of it has failed. So the
log is what is listened to, and nothing of Django's or Celery's is wrapped. A report says where in the code it was and
for which request, training and round. What people wrote, or a library wrote of it, stays in the log.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from structlog.contextvars import get_contextvars

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

KEPT = ("event_id", "timestamp", "level", "platform", "logger", "release", "environment", "sdk", "server_name")
OF_FRAMES = (
    "filename",
    "abs_path",
    "module",
    "function",
    "lineno",
    "pre_context",
    "context_line",
    "post_context",
    "in_app",
)
TAGS = ("request_id", "training_id", "round", "delivery_id", "task", "task_id")
"""Without the account."""
HIDDEN = "The message is in the server's log."


def can_report() -> bool:
    """Is the library installed?"""
    return find_spec("sentry_sdk") is not None


def is_dsn(text: str) -> bool:
    """Is it an address with a key and a project?"""
    try:
        parts = urlsplit(text)
        return bool(
            parts.scheme in ("http", "https")
            and parts.hostname
            and parts.username
            and parts.path.rpartition("/")[2].isdecimal()
            and parts.port != 0
        )
    except ValueError:
        return False


def report_errors() -> None:
    """Turn reports on if they are set. What is missing for them, a check says."""
    if not settings.FL_SENTRY_DSN or not can_report() or not is_dsn(settings.FL_SENTRY_DSN):
        return
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=settings.FL_SENTRY_DSN,
        release=f"fl-server@{version('fl-server')}",
        environment=settings.FL_SENTRY_ENVIRONMENT or ("production" if settings.FL_PRODUCTION else "development"),
        default_integrations=False,
        integrations=[
            LoggingIntegration(level=None, event_level=logging.ERROR, sentry_logs_level=None),
            AtexitIntegration(callback=lambda _pending, _timeout: None),
        ],
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        propagate_traces=False,
        trace_propagation_targets=[],
        auto_session_tracking=False,
        send_client_reports=False,
        before_send=_clean,
    )


def _clean(event: Event, hint: Hint) -> Event | None:
    """Keep only what is named here: whatever else a newer library gathers doesn't leave this machine."""
    if not hint.get("exc_info"):
        return None  # a line of the log without an exception is no bug
    told: dict[str, Any] = {name: value for name, value in event.items() if name in KEPT}
    values = cast(Any, event).get("exception", {}).get("values", [])
    told["exception"] = {"values": [_exception(value) for value in values]}
    told["tags"] = {name: str(value) for name, value in get_contextvars().items() if name in TAGS}
    return cast("Event", told)


def _exception(value: dict[str, Any]) -> dict[str, Any]:
    frames = (value.get("stacktrace") or {}).get("frames", [])
    return {
        "type": value.get("type"),
        "module": value.get("module"),
        "value": HIDDEN,
        "stacktrace": {"frames": [{name: frame[name] for name in OF_FRAMES if name in frame} for frame in frames]},
    }
