from __future__ import annotations

from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from fl_server_api.listing import PageQuery, each, listed
from fl_server_api.openapi import READ, WRITE, answers, sentence
from fl_server_api.polling import wait_for_notifications
from fl_server_api.serializers.generic import checked
from fl_server_api.serializers.notification import AcknowledgeRequest, NotificationSerializer, WaitRequest
from fl_server_api.views.base import ApiView, JSONView, caller
from fl_server_core.services.delivery_attempts import acknowledge

TAKEN_IN = OpenApiExample("Taken in", request_only=True, value={"accept": True})


class NotificationsView(ApiView):
    @extend_schema(
        parameters=[WaitRequest, PageQuery], responses=answers({200: NotificationSerializer(many=True)}, 400, *READ)
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Fetch the caller's notifications.

        Those not yet acknowledged, oldest first. With `wait`, the server holds the request for up to that many seconds
        (at most 30) until there is one. This is the only way to receive notifications without a message_endpoint.
        """
        seconds = checked(WaitRequest, request.query_params)["wait"]
        found = wait_for_notifications(user=caller(request), seconds=seconds)
        return listed(request, found, each(NotificationSerializer))


class NotificationAckView(JSONView):
    @extend_schema(
        request=AcknowledgeRequest,
        responses=answers({200: sentence("Notification acknowledged!")}, *WRITE),
        examples=[TAKEN_IN],
    )
    def post(self, request: Request, notification_id: UUID) -> Response:
        """Acknowledge a notification.

        The server doesn't send it again. If you reject the start of the open round, you are removed from the training.
        """
        values = checked(AcknowledgeRequest, request.data)
        acknowledge(user=caller(request), notification_id=notification_id, **values)
        return Response({"detail": "Notification acknowledged!"})
