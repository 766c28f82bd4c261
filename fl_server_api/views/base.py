from __future__ import annotations

from typing import Any, cast

from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.views import APIView

from fl_server_api.body_limits import BodyKind
from fl_server_api.openapi import DocstringSchema
from fl_server_api.parsers import AnyTypeJSONParser, FormParser, JSONParser, MultiPartParser
from fl_server_api.trail import note_who
from fl_server_core.models import User


class ApiView(APIView):
    """What all views have in common."""

    parser_classes = [JSONParser, FormParser, MultiPartParser]
    schema = DocstringSchema()
    body_kind = BodyKind.PLAIN

    def perform_authentication(self, request: Request) -> None:
        """Look at the credentials, and tell the trail whose they are."""
        super().perform_authentication(request)
        note_who(request._request, request.auth)


class JSONView(ApiView):
    """A view whose bodies are JSON whatever the Content-Type says."""

    parser_classes = [AnyTypeJSONParser]


def caller(request: Request) -> User:
    """Who asks; the permission classes have let nobody pass who is not signed in."""
    return cast(User, request.user)


class NotFoundView(ApiView):
    """Answers 404 for unknown paths."""

    authentication_classes = []
    permission_classes = []
    schema = None  # type: ignore[assignment]  # no page of its own

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound
