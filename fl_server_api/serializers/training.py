from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework import serializers

from fl_server_api.converters import GivenId
from fl_server_api.serializers.generic import MAX_ROUND, StrictSerializer
from fl_server_api.serializers.metric import MAX_METRICS
from fl_server_api.serializers.metric import NAME_LENGTH as METRIC_NAME_LENGTH
from fl_server_core.models import Training
from fl_server_core.models.training import UncertaintyMethod
from fl_server_core.options import validate_options
from fl_server_core.registry import aggregation_choices, uncertainty_choices
from fl_server_core.selectors.trainings import round_progress
from fl_server_core.validators import validate_json

IDENTIFIER_LENGTH = 256
TRAINING_FIELDS = [
    "id",
    "model",
    "actor",
    "participants",
    "state",
    "target_num_updates",
    "last_update",
    "uncertainty_method",
    "aggregation_method",
    "options",
    "locked",
]


class GivenIdField(serializers.CharField):
    """An id; one that is malformed is found to be unknown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": IDENTIFIER_LENGTH, **options})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return GivenId(super().run_validation(data))


def identifiers(**options: Any) -> serializers.ListField:
    """A list of ids."""
    return serializers.ListField(child=GivenIdField(), **options)


class AggregationMethodField(serializers.ChoiceField):
    """One of the methods that the running server has."""

    def __init__(self, **options: Any) -> None:
        super().__init__(aggregation_choices(), **options)


class UncertaintyMethodField(serializers.ChoiceField):
    """One of the methods that the running server has."""

    def __init__(self, **options: Any) -> None:
        super().__init__(uncertainty_choices(), **options)


class CreateTrainingRequest(StrictSerializer):
    """A training to be."""

    model_id = GivenIdField(help_text="One of your global models.")
    target_num_updates = serializers.IntegerField(
        min_value=1, max_value=MAX_ROUND, help_text="How many times the global model is updated."
    )
    metric_names = serializers.ListField(
        child=serializers.CharField(max_length=METRIC_NAME_LENGTH, allow_blank=True), max_length=MAX_METRICS
    )
    aggregation_method = AggregationMethodField()
    uncertainty_method = UncertaintyMethodField(default=UncertaintyMethod.NONE)
    options = serializers.DictField(default=dict, help_text="Options of the trainer. You may add keys of your own.")
    clients = identifiers(source="participant_ids", default=list, help_text="The participants' user ids.")

    def validate_options(self, value: dict[str, Any]) -> dict[str, Any]:
        try:
            validate_json(value)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from None
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            known = validate_options(attrs["options"], attrs["aggregation_method"], attrs["uncertainty_method"])
        except ValidationError as error:
            raise serializers.ValidationError({"options": error.messages}) from None
        period = known.daisy_chain_period
        if attrs["target_num_updates"] * period > MAX_ROUND:
            message = f"With this daisy_chain_period, choose no more than {MAX_ROUND // period}."
            raise serializers.ValidationError({"target_num_updates": [message]})
        return attrs


class TrainingCreatedSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField()
    training_id = serializers.UUIDField()


class ParticipantsRequest(StrictSerializer):
    """Who is to join or to leave a training."""

    clients = identifiers(source="user_ids")


class TrainingSerializer(serializers.ModelSerializer[Training]):
    """A training; `last_update` changes with every change of it."""

    options = serializers.JSONField(read_only=True)

    class Meta:
        model = Training
        fields = TRAINING_FIELDS
        read_only_fields = TRAINING_FIELDS


class TrainingDetailSerializer(TrainingSerializer):
    """A training and how far its current round is."""

    local_models_arrived = serializers.IntegerField(read_only=True)
    local_models_expected = serializers.IntegerField(read_only=True)

    class Meta(TrainingSerializer.Meta):
        fields = [*TRAINING_FIELDS, "local_models_arrived", "local_models_expected"]
        read_only_fields = fields


def represent_training(training: Training) -> dict[str, Any]:
    """A training as JSON, with the progress of its current round."""
    arrived, expected = round_progress(training)
    return {
        **TrainingSerializer(training).data,
        "local_models_arrived": arrived,
        "local_models_expected": expected,
    }
