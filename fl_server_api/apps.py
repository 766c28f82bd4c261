from django.apps import AppConfig


class FlServerApiConfig(AppConfig):
    name = "fl_server_api"
    verbose_name = "HTTP API"
