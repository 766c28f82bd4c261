from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.body_limits import BodyKind
from fl_server_api.openapi import KEEP, answers, sentence
from fl_server_api.serializers.generic import checked
from fl_server_api.serializers.submission import SubmissionRequest
from fl_server_api.views.base import ApiView, caller
from fl_server_core.rounds.submitting import submit_to_kind


class RoundSubmissionsView(ApiView):
    body_kind = BodyKind.FILES

    @extend_schema(
        request={"multipart/form-data": SubmissionRequest},
        responses=answers({201: sentence("Submission Accepted")}, 403, 404, *KEEP),
    )
    def post(self, request: Request, training_id: UUID, kind: str) -> Response:
        """Submit to a round of another kind.

        For participants of the training, if the open round is of a kind without a path of its own. Send `content`
        (JSON) or a `file`, depending on the kind. Without a file, the same fields may also come as JSON:
        `{"round": 1, "sample_size": 120, "content": {"mean": 0.25}}`. A repeat replaces the earlier submission.
        """
        values = checked(SubmissionRequest, request.data)
        submit_to_kind(training_id=training_id, kind=kind, participant=caller(request), **values)
        return Response({"detail": "Submission Accepted"}, status=status.HTTP_201_CREATED)
