from django.apps import AppConfig
from django.contrib.admin import apps as admin


class FlServerApiConfig(AppConfig):
    default = True
    name = "fl_server_api"
    verbose_name = "HTTP API"


class OperatorAdminConfig(admin.AdminConfig):
    """Django's admin on a site of our own."""

    default = False
    default_site = "fl_server_api.pages.site.OperatorSite"
