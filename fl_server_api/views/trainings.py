from __future__ import annotations

from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.listing import PageQuery, each, listed
from fl_server_api.openapi import KEEP, READ, WRITE, answers, options_text, sentence
from fl_server_api.serializers.generic import checked
from fl_server_api.serializers.model import ANY_MODELS, represent_models
from fl_server_api.serializers.training import (
    CreateTrainingRequest,
    ParticipantsRequest,
    TrainingCreatedSerializer,
    TrainingDetailSerializer,
    TrainingSerializer,
    represent_training,
)
from fl_server_api.views.base import JSONView, caller
from fl_server_core.selectors.trainings import (
    get_readable_training,
    latest_models_of_training,
    models_of_training,
    trainings_of_actor,
)
from fl_server_core.services.participants import add_participants, remove_participants
from fl_server_core.services.trainings import create_training, delete_training, start_training

ID = "2f9b3a5e-8d0c-4f36-9a55-0b1f7d3d3c11"
NEW_TRAINING = OpenApiExample(
    "Ten rounds of FedAvg",
    request_only=True,
    value={
        "model_id": ID,
        "target_num_updates": 10,
        "metric_names": ["accuracy"],
        "aggregation_method": "FedAvg",
        "options": {"round_deadline": 600, "min_updates": 0.8},
        "clients": ["6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"],
    },
)
CREATE = f"""Create a training.

For actors. If the server requires it, their flag `actor` must be set. If the model already has a training, the new
training gets a copy of it. If the server asks for consent, the `clients` are invited.

{options_text()}"""
ADDED = "Users registered as participants!"
INVITED = "Users invited to the training!"
CLIENTS = OpenApiExample("One user", request_only=True, value={"clients": [ID]})


class TrainingsView(JSONView):
    @extend_schema(parameters=[PageQuery], responses=answers({200: TrainingSerializer(many=True)}, 400, *READ))
    def get(self, request: Request) -> HttpResponseBase:
        """List the trainings whose actor is the caller."""
        return listed(request, trainings_of_actor(caller(request)), each(TrainingSerializer))

    @extend_schema(
        request={"application/json": CreateTrainingRequest},
        responses=answers({201: TrainingCreatedSerializer}, 403, *KEEP),
        examples=[NEW_TRAINING],
        description=CREATE,
    )
    def post(self, request: Request) -> Response:
        """Create a training."""
        training = create_training(actor=caller(request), **checked(CreateTrainingRequest, request.data))
        body = {"detail": "Training created successfully!", "training_id": str(training.pk)}
        return Response(body, status=status.HTTP_201_CREATED)


class TrainingView(JSONView):
    @extend_schema(responses=answers({200: TrainingDetailSerializer}, 400, 403, *READ))
    def get(self, request: Request, training_id: UUID) -> Response:
        """Show a training.

        For its actor and its participants.
        """
        return Response(represent_training(get_readable_training(training_id, caller(request))))

    @extend_schema(request=None, responses=answers({200: sentence("Training removed!")}, 400, 403, *READ))
    def delete(self, request: Request, training_id: UUID) -> Response:
        """Remove a training.

        For its actor. The model and the updates stay.
        """
        delete_training(training_id=training_id, user=caller(request))
        return Response({"detail": "Training removed!"})


class TrainingStartView(JSONView):
    @extend_schema(request=None, responses=answers({202: sentence("Training started!")}, 400, 401, 403, 406))
    def post(self, request: Request, training_id: UUID) -> Response:
        """Start a training.

        For its actor. Its participants are notified of the start and of the first round. The body isn't read.
        """
        start_training(training_id=training_id, user=caller(request))
        return Response({"detail": "Training started!"}, status=status.HTTP_202_ACCEPTED)


class TrainingParticipantsView(JSONView):
    @extend_schema(
        request={"application/json": ParticipantsRequest},
        responses=answers({202: sentence(ADDED, INVITED)}, 403, *WRITE),
        examples=[CLIENTS],
    )
    def put(self, request: Request, training_id: UUID) -> Response:
        """Add participants.

        For the training's actor. If the training is running, they are notified of the open round. If the server asks
        for consent, users are invited and take part once they accept. Those who trust the actor take part at once.
        """
        values = checked(ParticipantsRequest, request.data)
        invited = add_participants(training_id=training_id, user=caller(request), **values)
        return Response({"detail": INVITED if invited else ADDED}, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        request={"application/json": ParticipantsRequest},
        responses=answers({200: sentence("Users removed from training participants!")}, 403, *WRITE),
        examples=[CLIENTS],
    )
    def delete(self, request: Request, training_id: UUID) -> Response:
        """Remove participants.

        For the training's actor. If the training is running, they are notified. Open invitations are withdrawn.
        """
        values = checked(ParticipantsRequest, request.data)
        remove_participants(training_id=training_id, user=caller(request), **values)
        return Response({"detail": "Users removed from training participants!"})


class TrainingModelsView(JSONView):
    @extend_schema(parameters=[PageQuery], responses=answers({200: ANY_MODELS}, 400, *READ))
    def get(self, request: Request, training_id: UUID) -> HttpResponseBase:
        """List the models of a training.

        The global model and the updates that the caller may read. Outsiders get an empty list.
        """
        return listed(request, models_of_training(training_id, caller(request)), represent_models)


class TrainingLatestModelsView(JSONView):
    @extend_schema(parameters=[PageQuery], responses=answers({200: ANY_MODELS}, 400, *READ))
    def get(self, request: Request, training_id: UUID) -> HttpResponseBase:
        """List the newest models of a training.

        The global model and each participant's newest update, as far as the caller may read them.
        """
        return listed(request, latest_models_of_training(training_id, caller(request)), represent_models)
