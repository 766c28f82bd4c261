from __future__ import annotations

from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.listing import PageQuery, each, listed
from fl_server_api.openapi import READ, WRITE, answers, sentence
from fl_server_api.serializers.generic import EmptyRequest, checked
from fl_server_api.serializers.version import DescribeVersionRequest, VersionRestoredSerializer, VersionSerializer
from fl_server_api.views.base import ApiView, JSONView, caller
from fl_server_core.selectors.models import get_readable_model
from fl_server_core.selectors.versions import versions_of
from fl_server_core.services.versions import describe_version, restore_version

PINNED = OpenApiExample("A name and a pin", request_only=True, value={"name": "best so far", "pinned": True})


class ModelVersionsView(ApiView):
    @extend_schema(parameters=[PageQuery], responses=answers({200: VersionSerializer(many=True)}, 400, 403, *READ))
    def get(self, request: Request, model_id: UUID) -> HttpResponseBase:
        """List the versions of a model.

        Oldest first. Every round that averages makes one. Mean models and updates have no versions.
        """
        model = get_readable_model(model_id, caller(request))
        return listed(request, versions_of(model), each(VersionSerializer))


class ModelVersionView(JSONView):
    @extend_schema(
        request={"application/json": DescribeVersionRequest},
        responses=answers({200: sentence("Version changed!")}, 403, 404, 410, *WRITE),
        examples=[PINNED],
    )
    def patch(self, request: Request, model_id: UUID, number: int) -> Response:
        """Name or pin a version.

        For the model's owner, its training's actor and staff. A version with a name or a pin is kept.
        """
        values = checked(DescribeVersionRequest, request.data)
        describe_version(model_id=model_id, number=number, user=caller(request), **values)
        return Response({"detail": "Version changed!"})


class ModelVersionRestoreView(JSONView):
    @extend_schema(
        request={"application/json": EmptyRequest},
        responses=answers({200: VersionRestoredSerializer}, 403, 404, 409, 410, *WRITE),
    )
    def post(self, request: Request, model_id: UUID, number: int) -> Response:
        """Restore a version.

        For the model's owner, its training's actor and staff, while the training isn't running. Makes a new newest
        version with the file of this one; the model's round stays. A failed training asks for its open round again.
        """
        checked(EmptyRequest, request.data)
        restored = restore_version(model_id=model_id, number=number, user=caller(request))
        return Response({"detail": "Version restored!", "version": restored})
