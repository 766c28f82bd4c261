from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty

from fl_server_core.exceptions import InvalidRequest

MAX_INTEGER = 2**31 - 1
MAX_BIG_INTEGER = 2**63 - 1
MAX_TEXT = 16_384  # characters of a description: it comes with every list
MAX_ROUND = 10**9  # the round of a model and a training's target, added up, fit their columns


class DetailSerializer(serializers.Serializer[Any]):
    """An answer that is a sentence."""

    detail = serializers.CharField()


class StrictSerializer(serializers.Serializer[Any]):
    """A request in which a field that is not known is an error."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(str(name) for name in data if name not in self.fields) if isinstance(data, Mapping) else []
        if unknown:
            raise serializers.ValidationError({name: ["Unknown field."] for name in unknown})
        return super().to_internal_value(data)


class EmptyRequest(StrictSerializer):
    """Nothing at all, or `{}`."""


class DigitsField(serializers.IntegerField):
    """A whole number. As text, in the digits 0 to 9: Python would also take `1_0`, `+1` and the digits of Arabic."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and not (data.isascii() and data.isdigit()):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"type": "string", "format": "binary", "description": "A part of the form with a file name."})
class UploadedFileField(serializers.FileField):
    """An uploaded file. Any other value counts as missing; `require_file` reports it in the contract's words.

    `required` is for the OpenAPI document alone.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "allow_empty_file": True, **options})

    def run_validation(self, data: Any = empty) -> Any:
        if not isinstance(data, UploadedFile):
            raise serializers.SkipField
        return super().run_validation(data)


def require_file(values: Mapping[str, Any], name: str) -> None:
    """Raises InvalidRequest if no file came under this name."""
    if name not in values:
        raise InvalidRequest(f"No uploaded file '{name}' found.")


def checked(serializer: type[serializers.Serializer[Any]], data: Any, **options: Any) -> dict[str, Any]:
    """The values of a request's data.

    Raises:
        ValidationError: field by field what is wrong with them.
    """
    instance = serializer(data=data, **options)
    instance.is_valid(raise_exception=True)
    return dict(instance.validated_data)
