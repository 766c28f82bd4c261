from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured


class FlServerAiConfig(AppConfig):
    name = "fl_server_ai"
    verbose_name = "Federated learning: what is computed"

    def ready(self) -> None:
        from fl_server_ai import aggregation, uncertainty  # noqa: F401  registers the methods
        from fl_server_ai.notification import receivers as notification_receivers  # noqa: F401  connects them
        from fl_server_ai.rounds import load_kinds
        from fl_server_ai.trainer import receivers as trainer_receivers  # noqa: F401  connects them
        from fl_server_core.registry import NameTaken, aggregation_methods, uncertainty_methods

        try:
            aggregation_methods.load_entry_points()
            uncertainty_methods.load_entry_points()
            load_kinds()
        except NameTaken as error:
            raise ImproperlyConfigured(str(error)) from None
