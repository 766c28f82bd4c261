from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Prefetch, prefetch_related_objects
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from fl_server_api.converters import GivenId
from fl_server_api.serializers.generic import (
    MAX_BIG_INTEGER,
    MAX_INTEGER,
    MAX_ROUND,
    MAX_TEXT,
    UploadedFileField,
    require_file,
)
from fl_server_api.serializers.metric import MetricPairs
from fl_server_core.exceptions import InvalidRequest, InvalidValue
from fl_server_core.models import GlobalModel, LocalModel, MeanModel, Model, SWAGModel
from fl_server_core.selectors.models import complete

MAX_DIMENSIONS = 64
KINDS = ("GLOBAL", "SWAG", "MEAN")
BASE_FIELDS = ["id", "owner", "round"]
GLOBAL_FIELDS = [*BASE_FIELDS, "name", "description", "input_shape", "preprocessing", "has_preprocessing"]


@extend_schema_field({"type": "string", "nullable": True, "description": "Always null: bytes are downloaded."})
class NotInlinedField(serializers.Field[Any, Any, Any, Any]):
    """A key that clients know, whose bytes are not sent in JSON."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"read_only": True, **options})

    def get_attribute(self, _instance: Any) -> None:
        return None


@extend_schema_field({"type": "array", "items": {"type": "integer", "nullable": True}, "nullable": True})
class InputShapeField(serializers.JSONField):
    """One entry a dimension, null for a free one; null where nothing is known."""


class GlobalModelSerializer(serializers.ModelSerializer[GlobalModel]):
    input_shape = InputShapeField(read_only=True)
    preprocessing = NotInlinedField()
    has_preprocessing = serializers.BooleanField(read_only=True)

    class Meta:
        model = GlobalModel
        fields = GLOBAL_FIELDS
        read_only_fields = GLOBAL_FIELDS


class SWAGModelSerializer(GlobalModelSerializer):
    swag_first_moment = NotInlinedField()
    swag_second_moment = NotInlinedField()

    class Meta(GlobalModelSerializer.Meta):
        model = SWAGModel
        fields = [*GLOBAL_FIELDS, "swag_first_moment", "swag_second_moment"]


class MeanModelSerializer(GlobalModelSerializer):
    class Meta(GlobalModelSerializer.Meta):
        model = MeanModel
        fields = [*GLOBAL_FIELDS, "models"]
        read_only_fields = fields


class LocalModelSerializer(serializers.ModelSerializer[LocalModel]):
    class Meta:
        model = LocalModel
        fields = [*BASE_FIELDS, "base_model", "sample_size"]
        read_only_fields = fields


SERIALIZERS: dict[type[Model], type[serializers.ModelSerializer[Any]]] = {
    GlobalModel: GlobalModelSerializer,
    SWAGModel: SWAGModelSerializer,
    MeanModel: MeanModelSerializer,
    LocalModel: LocalModelSerializer,
}
ANY_MODELS = PolymorphicProxySerializer(
    component_name="AnyModel", serializers=list(SERIALIZERS.values()), resource_type_field_name=None, many=True
)


@extend_schema_field({"type": "object", "nullable": True, "additionalProperties": {}})
class LayerStatisticsField(serializers.JSONField):
    """torchinfo's figures, or null."""


@extend_schema_field({"type": "array", "items": {"type": "string"}, "nullable": True})
class PickledNamesField(serializers.JSONField):
    """Sorted; null without such a file."""


class MetadataSerializer(serializers.Serializer[Any]):
    """What metadata has and lists have not."""

    stats = LayerStatisticsField(read_only=True)
    globals = PickledNamesField(read_only=True)
    preprocessing_globals = PickledNamesField(read_only=True)


METADATA_FIELDS = ["stats", "globals", "preprocessing_globals"]


class GlobalModelMetadataSerializer(MetadataSerializer, GlobalModelSerializer):
    class Meta(GlobalModelSerializer.Meta):
        fields = [*GlobalModelSerializer.Meta.fields, *METADATA_FIELDS]
        read_only_fields = fields


class SWAGModelMetadataSerializer(MetadataSerializer, SWAGModelSerializer):
    class Meta(SWAGModelSerializer.Meta):
        fields = [*SWAGModelSerializer.Meta.fields, *METADATA_FIELDS]
        read_only_fields = fields


class MeanModelMetadataSerializer(MetadataSerializer, MeanModelSerializer):
    class Meta(MeanModelSerializer.Meta):
        fields = [*MeanModelSerializer.Meta.fields, *METADATA_FIELDS]
        read_only_fields = fields


class LocalModelMetadataSerializer(MetadataSerializer, LocalModelSerializer):
    class Meta(LocalModelSerializer.Meta):
        fields = [*LocalModelSerializer.Meta.fields, *METADATA_FIELDS]
        read_only_fields = fields


ANY_MODEL_WITH_STATS = PolymorphicProxySerializer(
    component_name="AnyModelMetadata",
    serializers=[
        GlobalModelMetadataSerializer,
        SWAGModelMetadataSerializer,
        MeanModelMetadataSerializer,
        LocalModelMetadataSerializer,
    ],
    resource_type_field_name=None,
)


def represent_model(model: Model) -> dict[str, Any]:
    """A model as JSON, with the keys of its kind."""
    return dict(SERIALIZERS[type(model)](model).data)


def represent_models(models: Iterable[Model]) -> list[dict[str, Any]]:
    """Models as JSON, in constantly many statements."""
    rows = complete(models)
    members = Prefetch("models", queryset=GlobalModel.objects.non_polymorphic().only("pk"))
    prefetch_related_objects([row for row in rows if isinstance(row, MeanModel)], members)
    return [represent_model(row) for row in rows]


class DimensionField(serializers.IntegerField):
    """A size; `None` and `null`, as a form writes them, leave it open."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": MAX_INTEGER, "allow_null": True, **options})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return super().run_validation(None if data in ("None", "null") else data)


@extend_schema_field({"type": "string", "enum": list(KINDS), "default": "GLOBAL"})
class ModelKindField(serializers.Field[Any, Any, Any, Any]):
    """Case-insensitive. An unknown kind means a global model."""

    def to_internal_value(self, data: Any) -> str:
        kind = data.upper() if isinstance(data, str) else ""
        return kind if kind in KINDS else "GLOBAL"


@extend_schema_field({"type": "array", "items": {"type": "string", "format": "uuid"}})
class MemberIdsField(serializers.Field[Any, Any, Any, Any]):
    """The members of a mean model, as they came: only a mean model's are looked at."""

    def get_value(self, dictionary: Any) -> Any:
        if hasattr(dictionary, "getlist") and self.field_name in dictionary:
            return dictionary.getlist(self.field_name)
        return super().get_value(dictionary)

    def to_internal_value(self, data: Any) -> Any:
        return data


class CreateModelRequest(serializers.Serializer[Any]):
    """A new model: a form with files; for the mean of other models, JSON."""

    name = serializers.CharField(max_length=256, allow_blank=True)
    description = serializers.CharField(max_length=MAX_TEXT, allow_blank=True)
    model_file = UploadedFileField(help_text="Required unless the type is MEAN.")
    model_preprocessing_file = UploadedFileField()
    round = serializers.IntegerField(min_value=0, max_value=MAX_ROUND, default=0)
    type = ModelKindField(default="GLOBAL")
    input_shape = serializers.ListField(
        child=DimensionField(), max_length=MAX_DIMENSIONS, required=False, allow_null=True
    )
    models = MemberIdsField(required=False, allow_null=True, help_text="The ids of the mean model's members.")

    def to_internal_value(self, data: Any) -> Any:
        for name in ("name", "description"):
            if isinstance(data, Mapping) and name not in data:
                raise InvalidValue(f"Missing required field: {name}")
        return super().to_internal_value(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["type"] != "MEAN":
            require_file(attrs, "model_file")
        elif "models" not in attrs:
            raise InvalidValue("Missing required field: models")
        elif not isinstance(attrs["models"], list):
            raise InvalidValue("Invalid type for field: models")
        else:
            attrs["models"] = [GivenId(one if isinstance(one, str) else "") for one in attrs["models"]]
        return attrs


class ModelCreatedSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField()
    model_id = serializers.UUIDField()


class UpdateRequest(MetricPairs):
    """An update of a round. Send both lists of metrics or neither; lists of different lengths are ignored."""

    round = serializers.IntegerField(min_value=0, max_value=MAX_INTEGER)
    sample_size = serializers.IntegerField(max_value=MAX_BIG_INTEGER)
    model_file = UploadedFileField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        require_file(attrs, "model_file")
        names, values = attrs.get("metric_names", []), attrs.get("metric_values", [])
        if bool(names) != bool(values):
            raise InvalidRequest("Metric names or values are missing")
        return {
            "number": attrs["round"],
            "sample_size": attrs["sample_size"],
            "files": {"model": attrs["model_file"]},
            "metrics": list(zip(names, values, strict=True)) if len(names) == len(values) else [],
        }


class MomentsRequest(serializers.Serializer[Any]):
    """A participant's SWAG moments of a round."""

    round = serializers.IntegerField(min_value=0, max_value=MAX_INTEGER)
    sample_size = serializers.IntegerField(max_value=MAX_BIG_INTEGER)
    first_moment_file = UploadedFileField()
    second_moment_file = UploadedFileField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        require_file(attrs, "first_moment_file")
        require_file(attrs, "second_moment_file")
        return {
            "number": attrs["round"],
            "sample_size": attrs["sample_size"],
            "files": {"first_moment": attrs["first_moment_file"], "second_moment": attrs["second_moment_file"]},
        }


class PreprocessingRequest(serializers.Serializer[Any]):
    """A module that makes a model's input of what is sent for inference."""

    model_preprocessing_file = UploadedFileField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        require_file(attrs, "model_preprocessing_file")
        return attrs
