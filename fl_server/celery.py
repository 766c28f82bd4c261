"""The Celery application: ``celery -A fl_server worker`` and ``celery -A fl_server beat``."""

import logging
import os
import warnings
from typing import Any

from celery import Celery
from celery.exceptions import CPendingDeprecationWarning
from celery.signals import beat_init, celeryd_after_setup, celeryd_init, setup_logging, worker_shutting_down
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from fl_server.checks import refuse_misconfiguration
from fl_server.processes.companions import warn_of_strangers
from fl_server.processes.limits import allow_many_files
from fl_server.processes.migrating import MigrationsMissing, wait_for_migrations
from fl_server.storage.shared_files import refuse_unshared_files
from fl_server.telemetry.pulse import PulseStep
from fl_server.telemetry.saying import is_json, say
from fl_server.telemetry.task_logs import HEADER as HEADER  # connects the signals
from fl_server_core.stopping import begin_to_stop

# This module is imported with the package. fl-server and manage.py have chosen by then; whatever else starts the
# package (a WSGI server, `celery -A fl_server`) is a deployment. docs/installation.md states the rule.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fl_server.settings.production")

app = Celery("fl_server")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["fl_server_ai.alerts", "fl_server_ai.notification", "fl_server_ai.trainer"])
app.steps["consumer"].add(PulseStep)


celeryd_init.connect(allow_many_files)


@setup_logging.connect
def _keep_the_logging_of_django(**_: object) -> None:
    """A receiver of this signal is all it takes: Celery then adds no handlers of its own."""


@celeryd_init.connect
def _leave_out_the_banner(instance: Any = None, **_: object) -> None:
    """What collects lines as JSON can't read it."""
    if is_json():
        instance.quiet = True


@celeryd_after_setup.connect
def _ignore_what_is_decided(**_: object) -> None:
    """Each lost connection warns that tasks go on. They should: a claim says whose result counts."""
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)


@beat_init.connect
@celeryd_init.connect
def _refuse_misconfiguration(**_: object) -> None:
    """The command lines of Celery start no command of Django: they look at the settings here.

    SystemExit, since Celery logs any other exception of a receiver and goes on.
    """
    refuse_without_broker()
    try:
        for sentence in refuse_misconfiguration():
            say(sentence, logging.WARNING)
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from error


def refuse_without_broker() -> None:
    """Raise SystemExit where there is nothing for a worker to take tasks from."""
    if settings.FL_EMBEDDED:
        raise SystemExit("No broker is set (FL_REDIS_HOST): without one, `fl-server serve` runs the tasks itself.")


@celeryd_init.connect
def _refuse_unshared_files(**_: object) -> None:
    """Before the wait: whoever set this up should hear of it at once."""
    try:
        refuse_unshared_files()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from error


@beat_init.connect
@celeryd_init.connect
def wait_until_migrated(**_: object) -> None:
    """Return when the database has what this version needs, or raise SystemExit with a sentence."""
    try:
        wait_for_migrations(say)
    except MigrationsMissing as error:
        raise SystemExit(str(error)) from error
    warn_of_strangers()
    connection.close()  # processes of the pool are forked


@worker_shutting_down.connect
def _hand_over_in_time(**_: object) -> None:
    """Celery itself waits for running tasks without end. Processes of the pool hear of it through shared memory."""
    begin_to_stop(settings.FL_STOP_SECONDS)
