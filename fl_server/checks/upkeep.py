"""What is kept for how long, and who is told of it: retention, alerts, e-mail."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db import DatabaseError


def check_retention(**_: Any) -> Iterator[checks.CheckMessage]:
    """What is deleted takes with it what belongs to it, whatever that one's own setting says."""
    for outer, inner, sentence in (
        ("FL_KEEP_EVENTS_DAYS", "FL_KEEP_ALERTS_DAYS", "an alert goes with the event that it is about"),
        ("FL_KEEP_UPDATES_DAYS", "FL_KEEP_METRICS_DAYS", "the metrics of an update go with it"),
    ):
        days, kept = getattr(settings, outer), getattr(settings, inner)
        if days and (not kept or kept > days):
            until = f"for {kept} days" if kept else "for ever"
            yield checks.Warning(
                f"{inner} keeps rows {until}, but {outer} is {days}, and {sentence}.",
                hint=f"Set {inner} to {days} or less, or {outer} to more.",
                id="fl_server.W062" if outer == "FL_KEEP_EVENTS_DAYS" else "fl_server.W063",
            )


def check_email(**_: Any) -> Iterator[checks.CheckMessage]:
    """The mail server's password should not be readable on the way."""
    if settings.EMAIL_HOST_PASSWORD and settings.FL_EMAIL_SECURITY == "none":
        yield checks.Warning(
            "The password for the mail server is sent without TLS.",
            hint="Set FL_EMAIL_SECURITY to starttls or tls.",
            id="fl_server.W040",
        )


def check_alert_rules(databases: Sequence[str] | None = None, **_: Any) -> Iterator[checks.CheckMessage]:
    """Rules by e-mail need a mail server. Looked at where the database may be: by `migrate` and `check --database`."""
    if settings.FL_EMAIL_HOST or not databases:
        return
    rules = apps.get_model("fl_server_core.AlertRule")._default_manager  # this module is imported before any model
    try:
        number = rules.filter(active=True, channel="email").count()
    except DatabaseError:  # it has no tables yet
        return
    if number:
        yield checks.Warning(
            f"Alert rules that send e-mail: {number}. No mail server is set, so they tell nobody anything.",
            hint="Set FL_EMAIL_HOST, or switch these rules off in the admin.",
            id="fl_server.W041",
        )
