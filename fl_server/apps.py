"""The Django app of the house itself: it brings the system checks, traces, error reports and the ``serve`` command."""

import logging

from django.apps import AppConfig
from django.core.checks import Tags, register

from fl_server import checks
from fl_server.telemetry.reports import report_errors
from fl_server.telemetry.tracing import trace


class FlServerConfig(AppConfig):
    """Registers the system checks, and turns traces and error reports on where they are set."""

    name = "fl_server"
    verbose_name = "Federated learning server"

    def ready(self) -> None:
        """Called once by Django when all apps are loaded."""
        for check in checks.ALL:
            register(check, "fl_server")
        for check in checks.FOR_DEPLOYMENT:
            register(check, "fl_server", deploy=True)
        for check in checks.OF_ROWS:
            register(check, Tags.database)
        logging.captureWarnings(True)  # these are lines of the log, too
        trace()
        report_errors()
