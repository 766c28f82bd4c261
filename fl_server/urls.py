"""Every address of the server: the API, its pages and the admin."""

from importlib.util import find_spec

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api-auth/", include("rest_framework.urls")),
]
if find_spec("fl_server_api") and find_spec("fl_server_api.urls"):  # until it is built
    urlpatterns.insert(0, path("api/", include("fl_server_api.urls")))
