"""The Celery application: ``celery -A fl_server worker`` and ``celery -A fl_server beat``."""

import os

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fl_server.settings.development")

app = Celery("fl_server")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["fl_server_ai.notification", "fl_server_ai.trainer"])


@setup_logging.connect
def _keep_the_logging_of_django(**_: object) -> None:
    """A receiver of this signal is all it takes: Celery then adds no handlers of its own."""
