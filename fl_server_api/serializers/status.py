from __future__ import annotations

from typing import Any

from rest_framework import serializers

from fl_server_core.models import DeliveryStatus, Event, EventKind
from fl_server_core.models.training import TrainingState
from fl_server_core.selectors.readers import TrainingReader


class NotifiedSerializer(serializers.Serializer[Any]):
    """What a participant was or is to be told, and whether it arrived.

    id, body and last_error: null for those who are neither its receiver nor the training's actor.
    """

    id = serializers.UUIDField(allow_null=True)
    notification_type = serializers.CharField()
    body = serializers.DictField(allow_null=True, help_text="What it says, such as the round and the model to work on.")
    status = serializers.ChoiceField(DeliveryStatus.choices)
    created_at = serializers.DateTimeField()
    attempts = serializers.IntegerField()
    last_attempt_at = serializers.DateTimeField(allow_null=True)
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    settled_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField(allow_blank=True, allow_null=True)


class LastUpdateSerializer(serializers.Serializer[Any]):
    """How an update was beside the others of its round. What is null is too large for a number, or not defined."""

    round = serializers.IntegerField()
    norm = serializers.FloatField(allow_null=True, help_text="Of its difference from the global model.")
    buffer_norm = serializers.FloatField(allow_null=True, default=None, help_text="The same of floating-point buffers.")
    cosine = serializers.FloatField(
        allow_null=True, default=None, help_text="Between the difference and that of the round's aggregate."
    )
    share = serializers.FloatField(allow_null=True, default=None, help_text="Of the weights, after all caps.")
    clipped_to = serializers.FloatField(
        allow_null=True, default=None, help_text="By what the difference was multiplied; null: it was not clipped."
    )
    replay_of = serializers.IntegerField(
        allow_null=True, default=None, help_text="The earlier round in which the same bytes were sent."
    )


class ParticipantStatusSerializer(serializers.Serializer[Any]):
    """notification: of the open round. waits_behind: an earlier one, not delivered yet, that goes first.

    message_endpoint: without its query; null for other participants.
    replay_of: the earlier round in which the very bytes of the participant's present submission were sent. last_update:
    its figures in the last round that aggregated or passed on. Participants see these two of themselves only.
    """

    id = serializers.UUIDField()
    username = serializers.CharField()
    awaited = serializers.BooleanField()
    answered_at = serializers.DateTimeField(allow_null=True)
    message_endpoint = serializers.CharField(allow_null=True, allow_blank=True)
    notification = NotifiedSerializer(allow_null=True)
    waits_behind = NotifiedSerializer(allow_null=True)
    replay_of = serializers.IntegerField(allow_null=True)
    last_update = LastUpdateSerializer(allow_null=True)


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

    def to_representation(self, instance: Event) -> dict[str, Any]:
        reader: TrainingReader = self.context["reader"]
        return {**super().to_representation(instance), "figures": reader.readable(instance)}
