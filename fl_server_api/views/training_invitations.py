"""How a participant answers an invitation, and how it leaves."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.openapi import WRITE, answers, sentence
from fl_server_api.serializers.generic import EmptyRequest, checked
from fl_server_api.views.base import JSONView, caller
from fl_server_core.services.participants import accept_invitation, leave_training
from fl_server_core.services.training_invitations import decline_invitation

EMPTY = {"application/json": EmptyRequest}


class TrainingAcceptView(JSONView):
    @extend_schema(request=EMPTY, responses=answers({200: sentence("Invitation accepted!")}, 403, *WRITE))
    def post(self, request: Request, training_id: UUID) -> Response:
        """Accept an invitation to a training.

        For those who are invited. They become participants. If the training is running, they are notified of its open
        round. Accepting again has no effect.
        """
        checked(EmptyRequest, request.data)
        accept_invitation(training_id=training_id, user=caller(request))
        return Response({"detail": "Invitation accepted!"})


class TrainingDeclineView(JSONView):
    @extend_schema(request=EMPTY, responses=answers({200: sentence("Invitation declined!")}, 403, *WRITE))
    def post(self, request: Request, training_id: UUID) -> Response:
        """Decline an invitation to a training.

        For those who are invited. The actor may invite them again.
        """
        checked(EmptyRequest, request.data)
        decline_invitation(training_id=training_id, user=caller(request))
        return Response({"detail": "Invitation declined!"})


class TrainingLeaveView(JSONView):
    @extend_schema(request=EMPTY, responses=answers({200: sentence("Training left!")}, 403, *WRITE))
    def post(self, request: Request, training_id: UUID) -> Response:
        """Leave a training.

        For its participants. Their submission to the open round doesn't count, as if the actor had removed them.
        """
        checked(EmptyRequest, request.data)
        leave_training(training_id=training_id, user=caller(request))
        return Response({"detail": "Training left!"})
