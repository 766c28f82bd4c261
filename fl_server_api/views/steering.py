"""What an operator needs when somebody asks why nothing is happening."""

from __future__ import annotations

from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.listing import PageQuery, each, listed
from fl_server_api.openapi import READ, WRITE, answers, sentence
from fl_server_api.serializers.generic import EmptyRequest, checked
from fl_server_api.serializers.status import EventSerializer, StatusSerializer
from fl_server_api.views.base import ApiView, JSONView, caller
from fl_server_core.selectors.readers import TrainingReader
from fl_server_core.selectors.status import training_history, training_status
from fl_server_core.selectors.trainings import get_readable_training
from fl_server_core.services.trainings import resume_training, stop_training

EMPTY = {"application/json": EmptyRequest}


class TrainingResumeView(JSONView):
    @extend_schema(request=EMPTY, responses=answers({202: sentence("Training resumed!")}, 403, *WRITE))
    def post(self, request: Request, training_id: UUID) -> Response:
        """Resume a training that is in state E.

        For its actor. The training continues in the phase and round where it failed. Participants without a submission
        are notified again, and the deadline starts anew.
        """
        checked(EmptyRequest, request.data)
        resume_training(training_id=training_id, user=caller(request))
        return Response({"detail": "Training resumed!"}, status=status.HTTP_202_ACCEPTED)


class TrainingStopView(JSONView):
    @extend_schema(request=EMPTY, responses=answers({202: sentence("Training stopped!")}, 403, *WRITE))
    def post(self, request: Request, training_id: UUID) -> Response:
        """Stop a running training for good.

        For its actor. The state becomes C if a round has been closed, otherwise E. Everyone is notified of the end.
        """
        checked(EmptyRequest, request.data)
        stop_training(training_id=training_id, user=caller(request))
        return Response({"detail": "Training stopped!"}, status=status.HTTP_202_ACCEPTED)


class TrainingStatusView(ApiView):
    @extend_schema(responses=answers({200: StatusSerializer}, 400, 403, *READ))
    def get(self, request: Request, training_id: UUID) -> Response:
        """Show what a training waits for.

        For its actor and its participants: the phase, the round, its start and deadline, and for each participant the
        latest notification, whether it has arrived, and whether a submission is awaited. The ids of notifications,
        endpoints and errors are shown to the actor; participants see only their own.
        """
        training = get_readable_training(training_id, caller(request))
        reader = TrainingReader(training, caller(request))
        return Response(StatusSerializer(training_status(training, reader)).data)


class TrainingHistoryView(ApiView):
    @extend_schema(parameters=[PageQuery], responses=answers({200: EventSerializer(many=True)}, 400, 403, *READ))
    def get(self, request: Request, training_id: UUID) -> HttpResponseBase:
        """List what happened to a training.

        For its actor and its participants; oldest first. The events `aggregated` and `passed_on` have in `figures`,
        under `by_participant`, the norm, cosine and share of each update. Participants see their own ones only.
        """
        training = get_readable_training(training_id, caller(request))
        reader = TrainingReader(training, caller(request))
        return listed(request, training_history(training), each(EventSerializer, reader=reader))
