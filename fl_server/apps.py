"""The Django app of the house itself: it brings the system checks and the ``serve`` command."""

from django.apps import AppConfig


class FlServerConfig(AppConfig):
    """Registers the system checks."""

    name = "fl_server"
    verbose_name = "Federated learning server"
