"""System checks: what is unsafe or cannot work in the settings, each with an id and a hint.

Errors refuse the start of every command, warnings are printed. `refuse_misconfiguration` does the same for the ways to
start that run no Django command.
"""

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from fl_server.checks.networks import check_monitoring, check_networks, check_proxies
from fl_server.checks.people import check_oidc, check_people
from fl_server.checks.production import check_production
from fl_server.checks.sandbox import check_inference_device, check_sandbox, check_trusted_globals, check_walls
from fl_server.checks.start import (
    check_config_file,
    check_data_folder,
    check_database_and_broker,
    check_environment,
    check_redis,
    check_variables,
)
from fl_server.checks.storage import check_bucket, check_bucket_settings
from fl_server.checks.telemetry import check_sentry, check_tracing
from fl_server.checks.upkeep import check_alert_rules, check_email, check_retention

__all__ = [
    "ALL",
    "FOR_DEPLOYMENT",
    "OF_ROWS",
    "check_alert_rules",
    "check_bucket",
    "check_bucket_settings",
    "check_config_file",
    "check_data_folder",
    "check_database_and_broker",
    "check_email",
    "check_environment",
    "check_inference_device",
    "check_monitoring",
    "check_networks",
    "check_oidc",
    "check_people",
    "check_production",
    "check_proxies",
    "check_redis",
    "check_retention",
    "check_sandbox",
    "check_sentry",
    "check_tracing",
    "check_trusted_globals",
    "check_variables",
    "check_walls",
    "refuse_misconfiguration",
]

ALL = (
    check_environment,
    check_variables,
    check_config_file,
    check_database_and_broker,
    check_redis,
    check_data_folder,
    check_networks,
    check_monitoring,
    check_proxies,
    check_oidc,
    check_tracing,
    check_sentry,
    check_trusted_globals,
    check_production,
    check_bucket_settings,
    check_people,
    check_email,
    check_retention,
    check_sandbox,
)
# They start a process or ask another machine, so not every command does it: `manage.py check --deploy`.
FOR_DEPLOYMENT = (check_walls, check_inference_device, check_bucket)
# They read rows: `migrate`, and `manage.py check --database`.
OF_ROWS = (check_alert_rules,)


def refuse_misconfiguration() -> list[str]:
    """Raise `ImproperlyConfigured` with the sentences of all errors that the checks above find, if there are any.

    Returns: the sentences of the warnings that the operator hasn't silenced.
    """
    messages = [message for check in ALL for message in check()]
    errors = [_sentence(message) for message in messages if message.is_serious()]
    if errors:
        raise ImproperlyConfigured("\n".join(errors))
    return [_sentence(message) for message in messages if not message.is_silenced()]


def _sentence(message: CheckMessage) -> str:
    return f"{message.id}: {message.msg} {message.hint}"
