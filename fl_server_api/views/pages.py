"""The pages that show the schema, with scripts and styles of our own."""

from __future__ import annotations

from threading import Lock
from typing import Any

from csp.constants import SELF
from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpResponse
from django.utils.decorators import method_decorator
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerSplitView
from rest_framework.renderers import BaseRenderer, TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class OpenPage(APIView):
    """A page for everybody."""

    authentication_classes = []
    permission_classes = []


class SchemaView(OpenPage, SpectacularAPIView):
    """The OpenAPI schema, generated once: it takes longer than anything else that a stranger may ask for."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *_args: Any, **_kwargs: Any) -> HttpResponse:
        renderer = request.accepted_renderer
        disposition = f'inline; filename="{spectacular_settings.TITLE}.{renderer.format}"'
        headers = {"Content-Disposition": disposition}
        return HttpResponse(_document(renderer), content_type=renderer.media_type, headers=headers)


def _document(renderer: BaseRenderer) -> bytes:
    with _generating:  # those who come first wait for one generation, not for one each
        if renderer.media_type not in _documents:
            schema = SpectacularAPIView.generator_class().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
            rendered = renderer.render(schema, renderer_context={})
            _documents[renderer.media_type] = rendered.encode() if isinstance(rendered, str) else rendered
        return _documents[renderer.media_type]


_generating = Lock()
_documents: dict[str, bytes] = {}


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
