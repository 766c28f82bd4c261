from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework import serializers

from fl_server_api.serializers.generic import MAX_BIG_INTEGER, MAX_INTEGER, UploadedFileField
from fl_server_core.validators import validate_json


class SubmissionRequest(serializers.Serializer[Any]):
    """A submission to a round of a kind without a path of its own: JSON, or a file."""

    round = serializers.IntegerField(min_value=0, max_value=MAX_INTEGER)
    sample_size = serializers.IntegerField(min_value=0, max_value=MAX_BIG_INTEGER, default=0)
    content = serializers.JSONField(required=False, allow_null=True, default=None)
    file = UploadedFileField()

    def validate_content(self, value: Any) -> Any:
        try:
            validate_json(value)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from None
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        files = {"file": attrs["file"]} if "file" in attrs else {}
        if attrs["content"] is None and not files:
            raise serializers.ValidationError("Send content or a file.")
        return {
            "number": attrs["round"],
            "sample_size": attrs["sample_size"],
            "content": attrs["content"],
            "files": files,
        }
