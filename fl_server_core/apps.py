from django.apps import AppConfig


class FlServerCoreConfig(AppConfig):
    name = "fl_server_core"
    verbose_name = "Federated learning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from fl_server_core import receivers  # noqa: F401  connects the receivers
