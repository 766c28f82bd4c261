from __future__ import annotations

from typing import Any

from rest_framework import serializers

from fl_server_api.serializers.generic import MAX_INTEGER, StrictSerializer
from fl_server_core.models import Delivery

LONGEST_WAIT = 30


class WaitRequest(serializers.Serializer[Any]):
    """How long to hold the request while there is nothing to tell."""

    wait = serializers.IntegerField(min_value=0, max_value=MAX_INTEGER, default=0)

    def validate_wait(self, value: int) -> int:
        return min(value, LONGEST_WAIT)


class _SaidField(serializers.BooleanField):
    """Never taken for no where it is missing, as a box that is not ticked would be: an empty body counts as a form."""

    default_empty_html = serializers.empty


class AcknowledgeRequest(StrictSerializer):
    """Has the notification been taken in, or is it rejected?"""

    accept = _SaidField()


class NotificationSerializer(serializers.ModelSerializer[Delivery]):
    """A notification, as it is also posted to an endpoint; its id stays the same however often it is told."""

    id = serializers.UUIDField(source="uuid", read_only=True)
    body = serializers.JSONField(read_only=True)

    class Meta:
        model = Delivery
        fields = ["id", "notification_type", "training_uuid", "body", "created_at"]
        read_only_fields = fields
