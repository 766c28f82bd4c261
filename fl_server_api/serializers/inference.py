from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from fl_server_api.converters import GivenId
from fl_server_api.parsers import RequestTooLarge
from fl_server_api.serializers.generic import MAX_INTEGER, DigitsField
from fl_server_core.exceptions import InvalidValue

FORMATS = ("json", "binary", "torch")
INPUT = {
    "description": "Nested lists of numbers, or in base64 a torch-saved tensor or an image.",
    "oneOf": [{"type": "array", "items": {}}, {"type": "number"}, {"type": "string"}],
}


@extend_schema_field(INPUT)
class ModelInputField(serializers.Field[Any, Any, Any, Any]):
    """What a model is asked about, as it came: lists, text, or the bytes of a file."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, UploadedFile):
            return _without_surrogates(data)
        if (data.size or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise RequestTooLarge("The model_input is too large.")
        return data.read()


def _without_surrogates(data: Any) -> Any:
    """JSON may hold half of a character, which no encoding takes."""
    try:
        return data if not isinstance(data, str) else data.encode().decode()
    except UnicodeEncodeError:
        raise InvalidValue("Invalid model_input: it holds lone surrogate characters.") from None


class InferenceRequest(serializers.Serializer[Any]):
    """A question to a model."""

    model_id = serializers.UUIDField()
    model_input = ModelInputField()
    return_format = serializers.ChoiceField(
        FORMATS, required=False, help_text="By default `json` for a JSON request and `binary` for a form."
    )

    version = DigitsField(
        min_value=0, max_value=MAX_INTEGER, required=False, help_text="By default the current version."
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        values = data if isinstance(data, Mapping) else {}
        if values.get("model_id") is None:
            raise InvalidValue("No 'model_id' provided in request.")
        if values.get("model_input") is None:
            raise InvalidValue("No uploaded file 'model_input' found.")
        # Only a form has lists of values: what was sent as one is answered with a file.
        wanted = values.get("return_format", "binary" if hasattr(values, "getlist") else "json")
        if wanted not in FORMATS:
            raise InvalidValue(f"Unknown return format '{wanted}'. Supported are binary and json.")
        model_input = ModelInputField().to_internal_value(values["model_input"])
        return {
            "model_id": GivenId(str(values["model_id"])),
            "model_input": model_input,
            "return_format": wanted,
            "version": self._version(values.get("version")),
        }

    def _version(self, value: Any) -> int | None:
        try:
            return None if value is None else int(self.fields["version"].run_validation(value))
        except serializers.ValidationError as error:
            raise serializers.ValidationError({"version": error.detail}) from None


@extend_schema_serializer(component_name="InferenceRequest")
class InferenceDocument(serializers.Serializer[Any]):
    """A question to a model, as the OpenAPI document shows it: as JSON, answered with JSON."""

    model_id = serializers.UUIDField()
    model_input = ModelInputField()
    return_format = serializers.ChoiceField(["json"], required=False)
    version = serializers.IntegerField(
        min_value=0, max_value=MAX_INTEGER, required=False, help_text="By default the current version."
    )


class InferenceSerializer(serializers.Serializer[Any]):
    """What a model says, and how sure it is; a measure is null where a single sample has none."""

    inference = serializers.JSONField()
    uncertainty = serializers.DictField(child=serializers.JSONField(allow_null=True))
