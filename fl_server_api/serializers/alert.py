from __future__ import annotations

from rest_framework import serializers

from fl_server_api.serializers.generic import StrictSerializer
from fl_server_core.models import AlertRule

CHOSEN = ["condition", "trainings", "training", "minutes", "channel", "url", "period_minutes", "active"]


class AlertRuleSerializer(serializers.ModelSerializer[AlertRule]):
    """A rule, and how its messages fare. failures: how many times in a row one could not be sent."""

    class Meta:
        model = AlertRule
        fields = ["id", *CHOSEN, "created_at", "last_message_at", "failures", "last_error"]
        read_only_fields = fields


class AlertRuleRequest(StrictSerializer, serializers.ModelSerializer[AlertRule]):
    """What a user says of a rule."""

    # Not looked up here: a training that the user may not read is refused as anywhere else.
    training = serializers.UUIDField(
        source="training_id", required=False, allow_null=True, help_text="Its id, if `trainings` is one."
    )

    class Meta:
        model = AlertRule
        fields = CHOSEN
