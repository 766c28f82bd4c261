from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fl_server_api.parsers import RequestTooLarge
from fl_server_api.serializers.generic import MAX_BIG_INTEGER, MAX_INTEGER, UploadedFileField
from fl_server_core.validators import MAX_JSON_DEPTH, validate_json

MAX_CONTENT_BYTES = 1_000_000


@extend_schema_field({"type": "string", "description": f"Any JSON, as text; {MAX_CONTENT_BYTES} bytes at most."})
class ContentField(serializers.JSONField):
    """JSON of bounded size and depth; in a form, as text. It is read into memory with its row, time and again."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            _refuse_size(data)
        try:
            value = super().to_internal_value(data)
            validate_json(value)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from None
        except RecursionError:
            raise serializers.ValidationError(f"Nest values no more than {MAX_JSON_DEPTH} deep.") from None
        _refuse_size(json.dumps(value))
        return value


def _refuse_size(text: str) -> None:
    if len(text.encode(errors="surrogatepass")) > MAX_CONTENT_BYTES:
        raise RequestTooLarge(f"The content is larger than {MAX_CONTENT_BYTES} bytes. Send it as a file.")


class SubmissionRequest(serializers.Serializer[Any]):
    """A submission to a round of a kind without a path of its own: JSON, or a file."""

    round = serializers.IntegerField(min_value=0, max_value=MAX_INTEGER)
    sample_size = serializers.IntegerField(min_value=0, max_value=MAX_BIG_INTEGER, default=0)
    content = ContentField(required=False, allow_null=True, default=None)
    file = UploadedFileField()

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
