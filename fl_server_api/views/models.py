from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_ai.inference.statistics import layer_statistics
from fl_server_api.body_limits import BodyKind
from fl_server_api.downloads import Wanted, preprocessing_answer, weights_answer
from fl_server_api.listing import PageQuery, each, listed
from fl_server_api.negotiation import DownloadNegotiation
from fl_server_api.openapi import KEEP, READ, answers, file_download, sentence
from fl_server_api.serializers.generic import checked
from fl_server_api.serializers.metric import MetricSerializer, ReportMetricsRequest
from fl_server_api.serializers.model import (
    ANY_MODEL_WITH_STATS,
    ANY_MODELS,
    CreateModelRequest,
    ModelCreatedSerializer,
    MomentsRequest,
    PreprocessingRequest,
    UpdateRequest,
    represent_model,
    represent_models,
)
from fl_server_api.serializers.version import DirectQuery, DownloadQuery, VersionQuery
from fl_server_api.views.base import ApiView, caller
from fl_server_core.models import GlobalModel, User
from fl_server_core.policies import models_of
from fl_server_core.rounds.kinds import Offer
from fl_server_core.rounds.submitting import submit
from fl_server_core.selectors.models import get_readable_model, metrics_of_model
from fl_server_core.selectors.versions import round_of
from fl_server_core.services.metrics import report_metrics, take_back_metrics
from fl_server_core.services.models import create_global_model, create_mean_model, delete_model, set_preprocessing
from fl_server_core.services.pickled_names import names_of

FORM = "multipart/form-data"
METRICS_AT_ONCE = 20  # a value may have a megabyte
URLENCODED = "application/x-www-form-urlencoded"


class ModelsView(ApiView):
    body_kind = BodyKind.FILES

    @extend_schema(parameters=[PageQuery], responses=answers({200: ANY_MODELS}, 400, *READ))
    def get(self, request: Request) -> HttpResponseBase:
        """List models.

        Those that the caller owns, including updates, and the global models of trainings in which the caller is actor
        or participant. Oldest first.
        """
        return listed(request, models_of(caller(request)), represent_models)

    @extend_schema(
        request={FORM: CreateModelRequest},
        responses=answers({201: ModelCreatedSerializer}, 403, *KEEP),
    )
    def post(self, request: Request) -> Response:
        """Upload a model.

        For actors. If the server requires it, their flag `actor` must be set.

        `model_file` is a TorchScript archive (`torch.jit.save`) or a pickled `torch.nn.Module` (`torch.save`); it is
        read as data and never run on upload. One whose pickle names what can run anything, such as `os.system`, is
        refused. `input_shape` is a repeated field in which `None` leaves a dimension open. A model of type `MEAN`
        consists of other models, whose ids are in `models`, a repeated field. The caller must own all of them. Without
        files, the same fields may also come as JSON: `{"type": "MEAN", "models": ["<id>", …], …}`.
        """
        model = _create_model(caller(request), checked(CreateModelRequest, request.data))
        body = {"detail": "Model Upload Accepted", "model_id": str(model.pk)}
        return Response(body, status=status.HTTP_201_CREATED)


class ModelView(ApiView):
    body_kind = BodyKind.FILES
    content_negotiation_class = DownloadNegotiation

    @extend_schema(parameters=[DownloadQuery], responses=answers(file_download(), 400, 401, 403, 404, 410, 503))
    def get(self, request: Request, model_id: UUID) -> HttpResponseBase:
        """Download a model.

        The file as it was uploaded, with the current weights or those of `version`. An update is its global model's
        file with the update's tensors. The `ETag` of a version is the SHA-256 of its file. Conditions such as
        `If-None-Match` and a single `Range` of bytes are supported. The file of a mean of TorchScript models is a
        TorchScript module that averages their outputs.

        With `format=safetensors`, only the tensors are sent, in a format that can't carry code. A mean of models has
        none of its own.

        With `direct=1`, the answer may be a 302 to an address in the bucket, which needs no token and is valid for a
        short while. Its `ETag` is the file's. Don't send your token to the bucket. Means, safetensors, and files in a
        folder are answered as without it.
        """
        query = checked(DownloadQuery, request.query_params)
        wanted = Wanted(model_id, query["version"], query["format"], query["direct"])
        return weights_answer(request._request, wanted, caller(request))

    @extend_schema(
        request={FORM: UpdateRequest},
        responses=answers({201: sentence("Model Update Accepted")}, 403, 404, *KEEP),
    )
    def post(self, request: Request, model_id: UUID) -> Response:
        """Upload an update of a model.

        For participants of the model's training, in the round that is open. `model_file` holds the same tensors as the
        global model, as a module, a state dict or a safetensors file; only the tensors are kept. A repeated upload
        replaces the earlier one. `metric_names` and `metric_values`, repeated fields, are kept as metrics of the
        update.
        """
        submit(Offer(caller(request), "update", target_id=model_id, **checked(UpdateRequest, request.data)))
        return Response({"detail": "Model Update Accepted"}, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=answers({200: sentence("Model removed!")}, 400, 401, 403))
    def delete(self, request: Request, model_id: UUID) -> Response:
        """Remove a model.

        For its owner and the actor of its training. The training, the updates and the metrics go with it.
        """
        delete_model(model_id=model_id, user=caller(request))
        return Response({"detail": "Model removed!"})


class ModelMetadataView(ApiView):
    @extend_schema(parameters=[VersionQuery], responses=answers({200: ANY_MODEL_WITH_STATS}, 400, 403, 410, *READ))
    def get(self, request: Request, model_id: UUID) -> Response:
        """Show a model's metadata.

        `stats` holds the figures of its layers. It is null if they can't be computed, for example without an input
        shape. With `version`, `round` is the round of that version. `globals` lists the classes and functions that
        `torch.load` imports to load the file, `preprocessing_globals` those of the preprocessing. If they are empty,
        or the file is TorchScript, loading it brings in no code but torch's.
        """
        number = checked(VersionQuery, request.query_params)["version"]
        model = get_readable_model(model_id, caller(request))
        known = {**represent_model(model), "round": round_of(model, number)}
        return Response({**known, **names_of(model), "stats": layer_statistics(model, caller(request))})


class ModelMetricsView(ApiView):
    @extend_schema(parameters=[PageQuery], responses=answers({200: MetricSerializer(many=True)}, 400, 403, *READ))
    def get(self, request: Request, model_id: UUID) -> HttpResponseBase:
        """List the metrics of a model."""
        metrics = metrics_of_model(model_id, caller(request))
        return listed(request, metrics, each(MetricSerializer), piece=METRICS_AT_ONCE)

    @extend_schema(
        request={URLENCODED: ReportMetricsRequest},
        responses=answers({201: ModelCreatedSerializer}, 403, *KEEP),
    )
    def post(self, request: Request, model_id: UUID) -> Response:
        """Report metrics of a model.

        `metric_names` and `metric_values` are repeated fields; a value that is not a number is stored as bytes.
        In a test round, this is the participant's submission. A multipart form is accepted, too: there, a value may be
        a file.
        """
        values = checked(ReportMetricsRequest, request.data)
        report_metrics(model_id=model_id, reporter=caller(request), **values)
        body = {"detail": "Model Metrics Upload Accepted", "model_id": str(model_id)}
        return Response(body, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=answers({200: sentence("Metrics removed!")}, 400, 401, 403))
    def delete(self, request: Request, model_id: UUID) -> Response:
        """Remove the caller's metrics of a model.

        All that the caller has reported of it. A test round that they were submitted to keeps counting the submission.
        """
        take_back_metrics(model_id=model_id, reporter=caller(request))
        return Response({"detail": "Metrics removed!"})


class ModelPreprocessingView(ApiView):
    body_kind = BodyKind.FILES
    content_negotiation_class = DownloadNegotiation

    @extend_schema(parameters=[DirectQuery], responses=answers(file_download(), 400, 401, 403, 404))
    def get(self, request: Request, model_id: UUID) -> HttpResponseBase:
        """Download the preprocessing of a model.

        An update has the preprocessing of its global model. `direct=1` as for models.
        """
        direct = checked(DirectQuery, request.query_params)["direct"]
        return preprocessing_answer(request._request, model_id, caller(request), direct=direct)

    @extend_schema(
        request={FORM: PreprocessingRequest},
        responses=answers({202: sentence("Proprocessing Model Upload Accepted")}, 403, *KEEP),
    )
    def post(self, request: Request, model_id: UUID) -> Response:
        """Upload a preprocessing for a model.

        For its owner. The module turns what is sent for inference into the model's input.
        """
        file = checked(PreprocessingRequest, request.data)["model_preprocessing_file"]
        set_preprocessing(model_id=model_id, user=caller(request), file=file)
        return Response({"detail": "Proprocessing Model Upload Accepted"}, status=status.HTTP_202_ACCEPTED)


class ModelMomentsView(ApiView):
    body_kind = BodyKind.FILES

    @extend_schema(
        request={FORM: MomentsRequest},
        responses=answers({201: sentence("SWAG Statistic Accepted")}, 403, 404, *KEEP),
    )
    def post(self, request: Request, model_id: UUID) -> Response:
        """Upload SWAG moments.

        For participants of the model's training, in a SWAG round. Both files hold one vector each, saved by
        `torch.save`: the mean and the mean square of the parameters, in the order of `named_parameters()`.
        """
        submit(Offer(caller(request), "swag", target_id=model_id, **checked(MomentsRequest, request.data)))
        return Response({"detail": "SWAG Statistic Accepted"}, status=status.HTTP_201_CREATED)


def _create_model(owner: User, wish: dict[str, Any]) -> GlobalModel:
    kind, members = wish.pop("type"), wish.pop("models", [])
    wish["round_number"] = wish.pop("round")
    file, preprocessing = wish.pop("model_file", None), wish.pop("model_preprocessing_file", None)
    if kind == "MEAN":
        return create_mean_model(owner=owner, model_ids=members, **wish)
    return create_global_model(owner=owner, kind=kind, model_file=file, preprocessing_file=preprocessing, **wish)
