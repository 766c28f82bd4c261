"""Every address of the server: the API, its pages and the admin."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("api/", include("fl_server_api.urls")),
    path("admin/", admin.site.urls),
    path("api-auth/", include("rest_framework.urls")),
]
