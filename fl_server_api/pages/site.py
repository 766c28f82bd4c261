"""Django's admin with a navigation of our own, and the pages that it doesn't have."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils import timezone

from fl_server_api.pages.comparison import ComparisonPages
from fl_server_api.pages.model import ModelPages
from fl_server_api.pages.navigation import navigation
from fl_server_api.pages.overview import overview_of
from fl_server_api.pages.system import system_figures
from fl_server_api.pages.training import Frame, TrainingPages
from fl_server_core.models import User


class OperatorSite(AdminSite):
    """The default site: `admin.site` is one. The package that registers the pages of rows must not be imported here."""

    site_header = site_title = "Federated learning server"
    index_title = "Overview"
    site_url = None
    enable_nav_sidebar = False  # templates/admin/base_site.html has the navigation

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = super().each_context(request)
        context["sections"] = navigation(context["available_apps"], request.path)
        context["zone"] = timezone.get_current_timezone_name()
        return context

    def get_urls(self) -> list[URLPattern | URLResolver]:
        frame = Frame("admin/base_site.html", "admin", "index", self.each_context)
        own = [path("system/", self.admin_view(self.system), name="system")]
        pages = (TrainingPages(frame), ModelPages(frame), ComparisonPages(frame))
        return [*own, *(url for page in pages for url in page.urls(self.admin_view)), *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        overview = overview_of(cast(User, request.user))
        return super().index(request, {"overview": overview, **(extra_context or {})})

    def system(self, request: HttpRequest) -> HttpResponse:
        context = {**self.each_context(request), "title": "System", "figures": system_figures()}
        return TemplateResponse(request, "admin/system.html", context)
