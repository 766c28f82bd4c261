"""The pages that show the schema, with scripts and styles of our own."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

# The scripts know addresses of their makers (a logo, a validator): the browser is told to ask nobody but us.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"


class OpenPage(APIView):
    """A page for everybody, which loads nothing from another host."""

    authentication_classes = []
    permission_classes = []

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        final.headers["Content-Security-Policy"] = POLICY
        return final


class SchemaView(OpenPage, SpectacularAPIView):
    """The OpenAPI schema."""


class SwaggerView(OpenPage, SpectacularSwaggerView):
    """The schema in Swagger UI."""


class RedocView(OpenPage, SpectacularRedocView):
    """The schema in ReDoc."""

    template_name = "fl_server_api/redoc.html"


class InvitationView(OpenPage):
    """How to register, for whoever opens the link of an invitation.

    The code is the part of the address after #, which browsers keep to themselves: it is in no log.
    """

    schema = None
    renderer_classes = [TemplateHTMLRenderer]

    def get(self, request: Request) -> Response:
        context = {"mode": settings.FL_REGISTRATION, "address": request.build_absolute_uri("/api/users/")}
        return Response(context, template_name="fl_server_api/invitation.html")
