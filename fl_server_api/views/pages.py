"""The pages that show the schema, with scripts and styles of our own."""

from __future__ import annotations

from threading import Lock
from typing import Any

from django.http import HttpResponse
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView
from rest_framework.renderers import BaseRenderer
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


class SwaggerView(OpenPage, SpectacularSwaggerView):
    """The schema in Swagger UI."""


class RedocView(OpenPage, SpectacularRedocView):
    """The schema in ReDoc."""

    template_name = "fl_server_api/redoc.html"
