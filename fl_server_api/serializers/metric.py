from __future__ import annotations

import base64
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fl_server_core.exceptions import InvalidRequest
from fl_server_core.models import Metric

NAME_LENGTH = 32
MAX_METRICS = 1000
VALUE_BYTES = 1024 * 1024  # a row is read into memory as a whole
REPORT_BYTES = 4 * VALUE_BYTES


@extend_schema_field(OpenApiTypes.STR)
class MetricValueField(serializers.Field[Any, Any, Any, Any]):
    """A number, or anything else as text or as a file."""

    def to_internal_value(self, data: Any) -> str | bytes:
        if isinstance(data, UploadedFile):
            if (data.size or 0) > VALUE_BYTES:
                raise serializers.ValidationError(f"Send a value of at most {VALUE_BYTES} bytes.")
            return bytes(data.read())
        if isinstance(data, bool) or not isinstance(data, (str, int, float)):
            raise serializers.ValidationError("Send a number, text or a file.")
        try:
            size = len(str(data).encode())
        except UnicodeEncodeError:
            raise serializers.ValidationError("Lone surrogate characters are not allowed.") from None
        if size > VALUE_BYTES:
            raise serializers.ValidationError(f"Send a value of at most {VALUE_BYTES} bytes.")
        return str(data)

    def to_representation(self, value: Any) -> Any:
        return value


class MetricPairs(serializers.Serializer[Any]):
    """Metrics as two lists of the same length, repeated fields of a form."""

    metric_names = serializers.ListField(
        child=serializers.CharField(max_length=NAME_LENGTH, trim_whitespace=False),
        max_length=MAX_METRICS,
        required=False,
    )
    metric_values = serializers.ListField(child=MetricValueField(), max_length=MAX_METRICS, required=False)

    def validate_metric_values(self, values: list[str | bytes]) -> list[str | bytes]:
        if sum(len(value) for value in values) > REPORT_BYTES:
            raise serializers.ValidationError(f"Send values of at most {REPORT_BYTES} bytes in one request.")
        return values


class ReportMetricsRequest(MetricPairs):
    """Metrics of a model; `metrics` is what has been validated, as (name, value) pairs."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        names, values = attrs.get("metric_names", []), attrs.get("metric_values", [])
        if not names or not values:
            raise InvalidRequest("Metric names or values are missing")
        if len(names) != len(values):
            raise InvalidRequest("Metric names and values must have the same length")
        return {"metrics": list(zip(names, values, strict=True))}


class MetricSerializer(serializers.ModelSerializer[Metric]):
    """A metric; either `value_float` or `value_binary` (base64) is null."""

    value_binary = serializers.SerializerMethodField()

    class Meta:
        model = Metric
        fields = ["id", "model", "identifier", "key", "value_float", "value_binary", "step", "reporter"]
        read_only_fields = fields

    def get_value_binary(self, metric: Metric) -> str | None:
        return None if metric.value_binary is None else base64.b64encode(metric.value_binary).decode()


class FigureSerializer(serializers.Serializer[Any]):
    """A metric of a training. step: the model's round. version: of the model. binary_size: bytes, if not a number."""

    id = serializers.IntegerField()
    step = serializers.IntegerField(allow_null=True)
    version = serializers.IntegerField(allow_null=True)
    key = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    reporter = serializers.UUIDField(allow_null=True)
    reporter_name = serializers.CharField(allow_null=True)
    model = serializers.UUIDField()
    is_update = serializers.BooleanField(help_text="Whether it was reported of an update, not of the global model.")
    is_test = serializers.BooleanField(help_text="Whether a test round asked for it.")
    binary_size = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
