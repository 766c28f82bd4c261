"""Every address of the server: the API, its pages and the admin."""

from django.conf import settings
from django.contrib import admin
from django.urls import Resolver404, include, path, re_path
from django.views.defaults import page_not_found

from fl_server_api.views.pages import InvitationView

handler500 = "fl_server_api.views.errors.server_error"
urlpatterns = [
    path("", include("fl_server_api.pages.urls")),
    path("api/", include("fl_server_api.urls")),
    path("invitation/", InvitationView.as_view(), name="invitation"),
    # The admin's "view on site" is for models with pages of their own: there are none here.
    re_path("^admin/r/", page_not_found, {"exception": Resolver404()}),
    path("admin/", admin.site.urls),
    path("api-auth/", include("rest_framework.urls")),
]
if settings.FL_OIDC_ISSUER:
    urlpatterns.append(path("oidc/", include("fl_server_api.oidc.urls")))
