"""The pages that show the schema, with scripts and styles of our own."""

from __future__ import annotations

from csp.constants import SELF
from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerSplitView
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
