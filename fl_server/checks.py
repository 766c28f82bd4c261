"""System checks: what is unsafe or cannot work in the settings, each with an id and a hint.

Errors refuse the start of every command, warnings are printed. `refuse_misconfiguration` does the same for the ways to
start that run no Django command.
"""

import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from fl_server.bucket_check import check_bucket
from fl_server.reports import can_report, is_dsn
from fl_server.tracing import can_trace
from fl_server_ai.sandbox import WALLS_IN_THE_WAY, find_device, sandbox_support, standing
from fl_server_ai.sandbox.trusted import failing_imports

SHORTEST_TOKEN = 20
PREFIX_PART = re.compile(r"(?!\.{1,2}$)[\w.-]+", re.ASCII)
_NAMESPACES = (
    "Let the server's user make user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns), and in a container allow the system call unshare."
)
# By name, with the number of the warning. check_sandbox warns about the walls that are not here.
WALLS = {
    "landlock": ("W030", "Use Linux 5.13 or newer with Landlock turned on, and in a container allow its system calls."),
    "mounts": ("W031", _NAMESPACES),
    "network": ("W032", _NAMESPACES),
    "pids": ("W033", _NAMESPACES),
    "ipc": ("W034", _NAMESPACES),
    "hostname": ("W035", _NAMESPACES),
    "user": ("W036", _NAMESPACES),
    "uid": ("W037", "Only root can run a model as another user, and a server that runs as root risks more."),
    "capabilities": ("W038", "Run the server on Linux."),
    "processes": ("W039", _NAMESPACES),
}


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


def check_networks(**_: Any) -> Iterator[checks.CheckMessage]:
    """Networks that notifications may go to must be written as networks."""
    for name in settings.FL_NOTIFICATION_ALLOWED_NETWORKS:
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            yield checks.Error(
                f"FL_NOTIFICATION_ALLOWED_NETWORKS: {error}.",
                hint="Name networks such as 10.1.0.0/16 or fd00::/8, without bits of a host.",
                id="fl_server.E004",
            )


def check_monitoring(**_: Any) -> Iterator[checks.CheckMessage]:
    """Who may read the figures must be written as networks, or be hard to guess."""
    for name in settings.FL_METRICS_NETWORKS:
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            yield checks.Error(
                f"FL_METRICS_NETWORKS: {error}.",
                hint="Name networks such as 10.1.0.0/16 or fd00::/8, without bits of a host.",
                id="fl_server.E009",
            )
    if settings.FL_METRICS_TOKEN and len(settings.FL_METRICS_TOKEN) < SHORTEST_TOKEN:
        yield checks.Warning(
            f"FL_METRICS_TOKEN has fewer than {SHORTEST_TOKEN} characters, and nobody counts how often it is guessed.",
            hint="Set it to the output of: openssl rand -hex 32",
            id="fl_server.W008",
        )


def check_proxies(**_: Any) -> Iterator[checks.CheckMessage]:
    """Networks of proxies must be written as networks; and a proxy that ends TLS should be among them."""
    for name in settings.FL_TRUSTED_PROXIES:
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            yield checks.Error(
                f"FL_TRUSTED_PROXIES: {error}.",
                hint="Name networks such as 10.1.0.5/32 or fd00::/8, without bits of a host.",
                id="fl_server.E006",
            )
    if settings.FL_PRODUCTION and getattr(settings, "FL_BEHIND_TLS_PROXY", False) and not settings.FL_TRUSTED_PROXIES:
        yield checks.Warning(
            "All clients behind the proxy count as one address: whoever guesses passwords shuts all of them out.",
            hint="Name the proxy's network in FL_TRUSTED_PROXIES.",
            id="fl_server.W005",
        )


def check_oidc(**_: Any) -> Iterator[checks.CheckMessage]:
    """Sign-in at a provider needs a library, and a client that the provider knows."""
    if not settings.FL_OIDC_ISSUER:
        return
    if find_spec("mozilla_django_oidc") is None:
        yield checks.Error(
            "FL_OIDC_ISSUER is set, but the library for OpenID Connect is not installed.",
            hint="Install the extra: pip install 'fl-server[oidc]'.",
            id="fl_server.E007",
        )
    if not settings.FL_OIDC_CLIENT_ID or not settings.FL_OIDC_CLIENT_SECRET:
        yield checks.Error(
            "FL_OIDC_ISSUER is set, but FL_OIDC_CLIENT_ID or FL_OIDC_CLIENT_SECRET is not.",
            hint="Register this server as a client at the provider, and set what it gives you.",
            id="fl_server.E008",
        )
    if settings.FL_PRODUCTION and not settings.FL_OIDC_ISSUER.startswith("https://"):
        yield checks.Warning(
            "The OpenID Connect provider is reached without TLS: whoever is on the way can sign in as anybody.",
            hint="Set FL_OIDC_ISSUER to an address that begins with https://.",
            id="fl_server.W006",
        )


def check_tracing(**_: Any) -> Iterator[checks.CheckMessage]:
    """Traces need a library, and go to a receiver that speaks OTLP over HTTP."""
    if not settings.FL_TRACING:
        return
    if not can_trace():
        yield checks.Error(
            "Traces are turned on, but the libraries for OpenTelemetry are not installed.",
            hint="Install the extra: pip install 'fl-server[otel]'. Or set FL_TRACING to false.",
            id="fl_server.E020",
        )
    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf") != "http/protobuf":
        yield checks.Warning(
            "OTEL_EXPORTER_OTLP_PROTOCOL has no effect: traces are sent by HTTP, as protobuf.",
            hint="Name the receiver's port for HTTP, often 4318, in OTEL_EXPORTER_OTLP_ENDPOINT, and remove this one.",
            id="fl_server.W060",
        )


def check_sentry(**_: Any) -> Iterator[checks.CheckMessage]:
    """Error reports need a library, and an address that it can read."""
    if not settings.FL_SENTRY_DSN:
        return
    if not can_report():
        yield checks.Error(
            "FL_SENTRY_DSN is set, but the library for Sentry is not installed.",
            hint="Install the extra: pip install 'fl-server[sentry]'.",
            id="fl_server.E021",
        )
    elif not is_dsn(settings.FL_SENTRY_DSN):
        yield checks.Error(
            "FL_SENTRY_DSN must be an address with a key and a project.",
            hint="Copy it from the project's settings: https://<key>@<host>/<project>.",
            id="fl_server.E022",
        )
    elif settings.FL_PRODUCTION and not settings.FL_SENTRY_DSN.startswith("https://"):
        yield checks.Warning(
            "Error reports are sent without TLS.",
            hint="Set FL_SENTRY_DSN to an address that begins with https://.",
            id="fl_server.W061",
        )


def check_data_folder(**_: Any) -> Iterator[checks.CheckMessage]:
    """Files, uploads under way and perhaps the database live there."""
    if settings.FL_DATA_DIR_PROBLEM:
        yield checks.Error(
            settings.FL_DATA_DIR_PROBLEM,
            hint="Make the folder writable for the user who runs the server, or set FL_DATA_DIR to another one.",
            id="fl_server.E002",
        )


def check_production(**_: Any) -> Iterator[checks.CheckMessage]:
    """What is fine on a laptop, but unsafe on a server that others reach."""
    if not settings.FL_PRODUCTION:
        return
    if settings.FL_SECRET_KEY_IS_LOCAL and not settings.FL_EMBEDDED:
        yield checks.Warning(
            "The secret key comes from the data folder: processes on another folder have another one.",
            hint="Set FL_DJANGO_SECRET_KEY, or FL_DJANGO_SECRET_KEY_FILE, to the same value for all of them.",
            id="fl_server.W001",
        )
    if not settings.FL_EMBEDDED and not settings.FL_S3_BUCKET and not settings.FL_SHARED_FILES:
        yield checks.Warning(
            f"Models are files in {settings.MEDIA_ROOT}: web processes and workers must all see this folder.",
            hint="Mount a shared volume there and set FL_SHARED_FILES to true, or set FL_S3_BUCKET.",
            id="fl_server.W002",
        )
    if settings.SECURE_HSTS_SECONDS and not settings.FL_BEHIND_TLS_PROXY:
        yield checks.Warning(
            "FL_HSTS_SECONDS has no effect: it is sent by TLS only, and this server speaks plain HTTP.",
            hint="Set FL_BEHIND_TLS_PROXY to true if a proxy ends TLS in front of it, or remove FL_HSTS_SECONDS.",
            id="fl_server.W007",
        )
    if settings.CORS_ALLOW_ALL_ORIGINS:
        yield checks.Warning(
            "Every web site may read the answers that this server gives to a browser.",
            hint="Name the front ends in CORS_ORIGIN_WHITELIST and remove CORS_ALLOW_ALL_ORIGINS.",
            id="fl_server.W003",
        )


def check_bucket_settings(**_: Any) -> Iterator[checks.CheckMessage]:
    """A folder in the bucket must be a name that every store takes; addresses in it are keys to files."""
    if not settings.FL_S3_BUCKET:
        return
    if any(not PREFIX_PART.fullmatch(part) for part in settings.FL_S3_PREFIX.split("/") if settings.FL_S3_PREFIX):
        yield checks.Error(
            f"FL_S3_PREFIX must be a folder such as servers/one, not {settings.FL_S3_PREFIX!r}.",
            hint="Use letters, digits, dots, hyphens and underscores between single slashes.",
            id="fl_server.E023",
        )
    for name in ("FL_S3_ENDPOINT_URL", "FL_S3_PUBLIC_ENDPOINT_URL"):
        if getattr(settings, name) and not is_web_address(getattr(settings, name)):
            yield checks.Error(
                f"{name} must be an address such as https://s3.example.org, not {getattr(settings, name)!r}.",
                hint="Begin it with https:// (or http://), and name a host.",
                id="fl_server.E025",
            )
    address = settings.FL_S3_PUBLIC_ENDPOINT_URL or settings.FL_S3_ENDPOINT_URL
    if settings.FL_PRODUCTION and settings.FL_S3_DIRECT_SECONDS and address.startswith("http://"):
        yield checks.Warning(
            f"Downloads with ?direct=1 are led to {address} without TLS: who is on the way can read and change models.",
            hint="Set FL_S3_PUBLIC_ENDPOINT_URL to an address that begins with https://, or FL_S3_DIRECT_SECONDS to 0.",
            id="fl_server.W064",
        )


def is_web_address(text: str) -> bool:
    """Has it a scheme and a host? Without, the first request would fail, not the start."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not re.search(r"\s", text)
        )
    except ValueError:
        return False


def check_people(**_: Any) -> Iterator[checks.CheckMessage]:
    """On a server that others reach, people are asked before they take part, not everybody asks, and sees all."""
    if settings.FL_PRODUCTION and settings.FL_ENROLMENT == "open":
        yield checks.Warning(
            "Whom an actor adds to a training takes part in it without being asked.",
            hint="Set FL_ENROLMENT to consent, or remove it.",
            id="fl_server.W020",
        )
    if settings.FL_PRODUCTION and settings.FL_ACTORS == "everyone":
        yield checks.Warning(
            "Every user may upload models and create trainings.",
            hint="Set FL_ACTORS to flagged, or remove it, and set the flag `actor` of those who may.",
            id="fl_server.W021",
        )
    if settings.FL_PRODUCTION and settings.FL_SHOW_CONTACTS:
        yield checks.Warning(
            "Every user sees the email addresses and message endpoints of all others.",
            hint="Set FL_SHOW_CONTACTS to false, or remove it.",
            id="fl_server.W022",
        )


def check_email(**_: Any) -> Iterator[checks.CheckMessage]:
    """The mail server's password should not be readable on the way."""
    if settings.EMAIL_HOST_PASSWORD and settings.FL_EMAIL_SECURITY == "none":
        yield checks.Warning(
            "The password for the mail server is sent without TLS.",
            hint="Set FL_EMAIL_SECURITY to starttls or tls.",
            id="fl_server.W040",
        )


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


def check_sandbox(**_: Any) -> Iterator[checks.CheckMessage]:
    """Models of users run in a sandbox. The operator should know what it lacks here."""
    for missing in sandbox_support():
        yield checks.Warning(
            f"Models run here with less protection: {missing}",
            hint="Run the server on Linux (x86-64 or arm64), where the sandbox has all of its walls.",
            id="fl_server.W004",
        )


def check_walls(**_: Any) -> Iterator[checks.CheckMessage]:
    """Of the walls that stand in case another one has a hole, those that this system does not offer."""
    for wall in standing():
        if not wall.stands and wall.name in WALLS:
            number, hint = WALLS[wall.name]
            yield checks.Warning(
                f"Models run without a wall of the sandbox ({wall.name}), which stops {wall.stops}: {wall.why_not}",
                hint=f"{hint} Or accept it, and add fl_server.{number} to FL_SILENCED_CHECKS.",
                id=f"fl_server.{number}",
            )


def check_trusted_globals(**_: Any) -> Iterator[checks.CheckMessage]:
    """The sandbox imports what the operator trusts, so it must be possible to import it."""
    for module, problem in failing_imports(settings.FL_TRUSTED_GLOBALS).items():
        yield checks.Error(
            f"FL_TRUSTED_GLOBALS names something in the module {module!r}, which fails on import. {problem}",
            hint="Install or repair it, or remove it. Name classes as module.Class or module:Class.Inner, and all of a"
            " package as package.*.",
            id="fl_server.E005",
        )


def check_inference_device(**_: Any) -> Iterator[checks.CheckMessage]:
    """A device must be there, and costs walls."""
    device = find_device(settings.FL_INFERENCE_DEVICE)
    if device.problem:
        yield checks.Error(
            f"FL_INFERENCE_DEVICE is {settings.FL_INFERENCE_DEVICE}, which can't be used here: {device.problem}",
            hint="Install the device's driver and a torch that is built for it, or set it to cpu or auto.",
            id="fl_server.E024",
        )
    elif not device.is_cpu:
        yield checks.Warning(
            f"Models run on {device.name} without these walls of the sandbox: {', '.join(WALLS_IN_THE_WAY)}. "
            "FL_SANDBOX_MEMORY_MB limits the device's memory, and nothing limits the main memory of such a process.",
            hint="Run web processes in containers that hold no secrets besides their own and have a limit of memory. "
            "Or accept it, and add fl_server.W051 to FL_SILENCED_CHECKS.",
            id="fl_server.W051",
        )


ALL = (
    check_environment,
    check_config_file,
    check_database_and_broker,
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


def refuse_misconfiguration() -> None:
    """Raise `ImproperlyConfigured` with the sentences of all errors that the checks above find, if there are any."""
    errors = [message for check in ALL for message in check() if message.is_serious()]
    if errors:
        raise ImproperlyConfigured("\n".join(f"{error.id}: {error.msg} {error.hint}" for error in errors))
