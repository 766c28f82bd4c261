from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request

from fl_server_api.figures import csv_answer, json_answer, json_lines_answer
from fl_server_api.listing import PageQuery
from fl_server_api.negotiation import FormatNegotiation
from fl_server_api.openapi import READ, answers
from fl_server_api.renderers import CSVRenderer, JSONLinesRenderer, JSONRenderer
from fl_server_api.serializers.metric import FigureSerializer
from fl_server_api.views.base import ApiView, caller
from fl_server_core.selectors.metrics import metrics_of_training

FORMATS = {"csv": csv_answer, "jsonl": json_lines_answer}
GOOD = {
    (200, "application/json"): FigureSerializer(many=True),
    (200, "application/jsonl"): FigureSerializer,
    (200, "text/csv"): OpenApiTypes.STR,
}


class TrainingMetricsView(ApiView):
    renderer_classes = [JSONRenderer, JSONLinesRenderer, CSVRenderer, BrowsableAPIRenderer]
    content_negotiation_class = FormatNegotiation

    @extend_schema(parameters=[PageQuery], responses=answers(GOOD, 400, 403, *READ))
    def get(self, request: Request, training_id: UUID) -> HttpResponseBase:
        """List a training's metrics.

        Those of its model, for everyone who may read them there, and those of updates: for the actor of all, for a
        participant of its own. `format` or the Accept header chooses JSON (with `limit` and `offset`), JSON lines
        (`jsonl`) or CSV, which are always whole. Numbers that aren't finite are null, but for CSV. Of values that
        aren't numbers only the size is listed.
        """
        rows = metrics_of_training(training_id, caller(request))
        return FORMATS.get(request.accepted_renderer.format, json_answer)(request, rows, training_id)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(response, "exception", False):  # a refusal is JSON, whatever was asked for
            request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        return super().finalize_response(request, response, *args, **kwargs)
