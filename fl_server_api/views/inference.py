from __future__ import annotations

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_ai.inference.decode import decode_input
from fl_server_ai.inference.predict import predict
from fl_server_api.body_limits import BodyKind
from fl_server_api.negotiation import DownloadNegotiation
from fl_server_api.openapi import WRITE, answers
from fl_server_api.parsers import JSONParser, MultiPartParser
from fl_server_api.ranges import OCTETS
from fl_server_api.serializers.generic import checked
from fl_server_api.serializers.inference import InferenceDocument, InferenceRequest, InferenceSerializer
from fl_server_api.views.base import ApiView, caller
from fl_server_core.long_requests import inference_of
from fl_server_core.models import Scope
from fl_server_core.selectors.models import get_readable_model

QUESTION = OpenApiExample(
    "Two rows",
    request_only=True,
    media_type="application/json",
    value={"model_id": "2f9b3a5e-8d0c-4f36-9a55-0b1f7d3d3c11", "model_input": [[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]]},
)


class InferenceView(ApiView):
    body_kind = BodyKind.INPUT
    parser_classes = [JSONParser, MultiPartParser]
    content_negotiation_class = DownloadNegotiation
    scopes = {"POST": Scope.READ}

    @extend_schema(
        request={"application/json": InferenceDocument},
        responses=answers({200: InferenceSerializer}, 403, 410, 503, *WRITE),
        examples=[QUESTION],
    )
    def post(self, request: Request) -> HttpResponseBase:
        """Ask a model.

        The model's preprocessing, if any, is applied to the input. The uncertainty method is that of its training:
        with `NONE` the inference is the arg-max over dimension 1, with the others the mean over the samples, beside
        variance, std and, where all outputs lie in 0..1, predictive_entropy, expected_entropy and mutual_info.
        The answer is JSON, of a million numbers at most.

        Also accepted: a multipart form with the same fields, in which `model_input` is a file or text. It is answered
        with a file (`application/octet-stream`). `return_format` chooses: `json`, `binary` (a pickled dict of tensors)
        or `torch` (the same dict as a file for `torch.load(weights_only=True)`).
        """
        values, user = checked(InferenceRequest, request.data), caller(request)
        model, wanted = get_readable_model(values["model_id"], user), values["return_format"]
        with inference_of(user):
            model_input = decode_input(values["model_input"])
            prediction = predict(user=user, model=model, model_input=model_input, number=values["version"])
            if wanted == "json":
                return Response(prediction.to_json())
            return HttpResponse(prediction.to_file(wanted), content_type=OCTETS)
