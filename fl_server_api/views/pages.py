"""The pages that show the schema, with scripts and styles of our own."""

from __future__ import annotations

from csp.constants import SELF
from csp.decorators import csp_update
from django.conf import settings
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerSplitView
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class OpenPage(APIView):
    """A page for everybody."""

    authentication_classes = []
    permission_classes = []


class SchemaView(OpenPage, SpectacularAPIView):
    """The OpenAPI schema."""


class SwaggerView(OpenPage, SpectacularSwaggerSplitView):
    """The schema in Swagger UI, whose own script is a file of its own."""


# ReDoc searches the schema in a worker that it makes from text.
@method_decorator(csp_update({"worker-src": [SELF, "blob:"]}), name="dispatch")
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
