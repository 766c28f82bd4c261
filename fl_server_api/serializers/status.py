from __future__ import annotations

from typing import Any

from rest_framework import serializers

from fl_server_core.models import DeliveryStatus, Event, EventKind
from fl_server_core.models.training import TrainingState


class NotifiedSerializer(serializers.Serializer[Any]):
    """What a participant was or is to be told, and whether it arrived.

    id and last_error: null for those who are neither its receiver nor the training's actor.
    """

    id = serializers.UUIDField(allow_null=True)
    notification_type = serializers.CharField()
    status = serializers.ChoiceField(DeliveryStatus.choices)
    created_at = serializers.DateTimeField()
    attempts = serializers.IntegerField()
    last_attempt_at = serializers.DateTimeField(allow_null=True)
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    settled_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField(allow_blank=True, allow_null=True)


class ParticipantStatusSerializer(serializers.Serializer[Any]):
    """notification: of the open round. waits_behind: an earlier one, not delivered yet, that goes first.

    message_endpoint: without its query; null for other participants.
    """

    id = serializers.UUIDField()
    username = serializers.CharField()
    awaited = serializers.BooleanField()
    answered_at = serializers.DateTimeField(allow_null=True)
    message_endpoint = serializers.CharField(allow_null=True, allow_blank=True)
    notification = NotifiedSerializer(allow_null=True)
    waits_behind = NotifiedSerializer(allow_null=True)


class InvitedSerializer(serializers.Serializer[Any]):
    """A user who was invited and has not answered."""

    id = serializers.UUIDField()
    username = serializers.CharField()
    invited_at = serializers.DateTimeField()
    message_endpoint = serializers.CharField(allow_null=True, allow_blank=True)
    notification = NotifiedSerializer(allow_null=True)


class StatusSerializer(serializers.Serializer[Any]):
    """What a training waits for, and for whom.

    problem: why the round could not be closed when it was tried last, or why nobody can submit to it.
    failure: why the training is in error.
    """

    training = serializers.UUIDField()
    state = serializers.ChoiceField(TrainingState.choices)
    phase = serializers.CharField(help_text="`idle`, `update`, `swag`, `test`, or the name of another kind of round.")
    round = serializers.IntegerField()
    rounds_closed = serializers.IntegerField()
    target_num_updates = serializers.IntegerField()
    since = serializers.DateTimeField(allow_null=True)
    deadline = serializers.DateTimeField(allow_null=True)
    locked = serializers.BooleanField()
    lease_until = serializers.DateTimeField(allow_null=True)
    attempts = serializers.IntegerField()
    problem = serializers.CharField(allow_null=True)
    problem_since = serializers.DateTimeField(allow_null=True)
    failure = serializers.CharField(allow_null=True)
    participants = ParticipantStatusSerializer(many=True)
    invited = InvitedSerializer(many=True)


class EventSerializer(serializers.ModelSerializer[Event]):
    """Something that happened to a training. user: whom it is about. author: who did it.

    figures: numbers; and as `error`, for the user and the actor alone, what went wrong on the way to the user.
    """

    kind = serializers.ChoiceField(EventKind.choices)
    round = serializers.IntegerField()
    username = serializers.CharField(source="user.username", default=None, allow_null=True)
    author_name = serializers.CharField(source="author.username", default=None, allow_null=True)
    figures = serializers.JSONField()

    class Meta:
        model = Event
        fields = ["id", "at", "kind", "round", "user", "username", "author", "author_name", "message", "figures"]
        read_only_fields = fields

    def to_representation(self, event: Event) -> dict[str, Any]:
        """context: reader, and sees_errors: of all users."""
        shown = super().to_representation(event)
        is_shown = self.context["sees_errors"] or event.user_id == self.context["reader"].pk
        if not is_shown and isinstance(event.figures, dict):
            shown["figures"] = {name: value for name, value in event.figures.items() if name != "error"}
        return shown
