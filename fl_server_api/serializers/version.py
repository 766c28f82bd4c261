from __future__ import annotations

from typing import Any
from unicodedata import category

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fl_server_api.serializers.generic import MAX_INTEGER, DigitsField, StrictSerializer
from fl_server_core.exceptions import InvalidRequest

NAME_LENGTH = 256


class VersionSerializer(serializers.Serializer[Any]):
    """A version of a model. available: its file is still kept. metrics: means over the participants who tested it."""

    version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()
    available = serializers.BooleanField()
    is_current = serializers.BooleanField()
    name = serializers.CharField(allow_blank=True)
    pinned = serializers.BooleanField()
    restored_from = serializers.IntegerField(allow_null=True, help_text="The version whose file this one has.")
    metrics = serializers.DictField(child=serializers.FloatField(allow_null=True))


class LineField(serializers.CharField):
    """Text of one line, without spaces around it."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        text = super().to_internal_value(data)
        if any(category(character) in ("Cc", "Zl", "Zp") for character in text):
            raise serializers.ValidationError("Line breaks and other control characters are not allowed.")
        return text


class DescribeVersionRequest(StrictSerializer):
    """A version with a name or a pin is kept."""

    name = LineField(max_length=NAME_LENGTH, allow_blank=True, required=False)
    pinned = serializers.BooleanField(required=False)


class VersionRestoredSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField()
    version = serializers.IntegerField()


class VersionQuery(serializers.Serializer[Any]):
    """Which version is asked for; without one, the current one."""

    version = DigitsField(min_value=0, max_value=MAX_INTEGER, required=False, default=None)


FORMATS = ("pt", "safetensors")


@extend_schema_field({"type": "string", "enum": list(FORMATS), "default": "pt"})
class FormatField(serializers.Field[Any, Any, Any, Any]):
    """How tensors are written: as torch does, or as safetensors, which can't carry code."""

    def to_internal_value(self, data: Any) -> str:
        if data not in FORMATS:
            raise InvalidRequest(f"Unknown format '{str(data)[:40]}'. Supported are {' and '.join(FORMATS)}.")
        return str(data)


class DirectQuery(serializers.Serializer[Any]):
    """How the file is to come."""

    direct = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Answer 302 to an address in the bucket that is valid for a short while. "
        "Where files are in a folder, the file itself is the answer.",
    )


class DownloadQuery(DirectQuery, VersionQuery):
    """Which version of a model is asked for, in which format."""

    format = FormatField(required=False, default="pt")
