"""The Celery application: ``celery -A fl_server worker`` and ``celery -A fl_server beat``."""

import os

from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from fl_server.checks import refuse_misconfiguration
from fl_server.limits import allow_many_files
from fl_server.shared_files import refuse_unshared_files

# This module is imported with the package. fl-server and manage.py have chosen by then; whatever else starts the
# package (a WSGI server, `celery -A fl_server`) is a deployment. docs/installation.md states the rule.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fl_server.settings.production")

app = Celery("fl_server")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["fl_server_ai.alerts", "fl_server_ai.notification", "fl_server_ai.trainer"])


celeryd_init.connect(allow_many_files)


@setup_logging.connect
def _keep_the_logging_of_django(**_: object) -> None:
    """A receiver of this signal is all it takes: Celery then adds no handlers of its own."""


@beat_init.connect
@celeryd_init.connect
def _refuse_misconfiguration(**_: object) -> None:
    """The command lines of Celery start no command of Django: they look at the settings here.

    SystemExit, since Celery logs any other exception of a receiver and goes on.
    """
    if settings.FL_EMBEDDED:
        raise SystemExit("No broker is set (FL_REDIS_HOST): without one, `fl-server serve` runs the tasks itself.")
    try:
        refuse_misconfiguration()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from error


@celeryd_init.connect
def _refuse_unshared_files(**_: object) -> None:
    try:
        refuse_unshared_files()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from error
