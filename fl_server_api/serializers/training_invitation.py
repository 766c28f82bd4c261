from __future__ import annotations

from rest_framework import serializers

from fl_server_core.models import TrainingInvitation


class TrainingInvitationSerializer(serializers.ModelSerializer[TrainingInvitation]):
    """An invitation that can be accepted. actor: of the training. invited_by: the actor, or a member of the staff."""

    actor = serializers.UUIDField(source="training.actor_id", read_only=True)
    global_model_uuid = serializers.UUIDField(source="training.model_id", read_only=True)

    class Meta:
        model = TrainingInvitation
        fields = ["training", "actor", "global_model_uuid", "invited_by", "created_at"]
        read_only_fields = fields
