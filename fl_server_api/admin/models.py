from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypedDict
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django_stubs_ext import WithAnnotations

from fl_server_api.admin import panels
from fl_server_api.admin.base import Row, SafeAdmin, number_of, operator_of
from fl_server_api.admin.columns import TrailField, time_of
from fl_server_api.admin.fields import SafeJSONField, json_box
from fl_server_api.admin.html import file_size, link, list_link
from fl_server_api.pages.html import NOTHING
from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models import (
    Event,
    GlobalModel,
    LocalModel,
    MeanModel,
    Metric,
    Model,
    ModelVersion,
    SWAGModel,
    Training,
    User,
)
from fl_server_core.models.training import TrainingState
from fl_server_core.services import models as services


class GlobalModelColumns(TypedDict):
    training_id: UUID | None
    training_state: str | None
    updates: int


class LocalModelColumns(TypedDict):
    base_name: str


GlobalModelRow: TypeAlias = "WithAnnotations[GlobalModel, GlobalModelColumns]"
LocalModelRow: TypeAlias = "WithAnnotations[LocalModel, LocalModelColumns]"


class GlobalModelForm(forms.ModelForm[GlobalModel]):
    input_shape = SafeJSONField(
        required=False,
        widget=json_box(3),
        help_text="One entry per dimension, null for a free one: [null, 1, 28, 28]. Empty: unknown.",
    )

    def clean_input_shape(self) -> list[int | None] | None:
        shape = self.cleaned_data["input_shape"]
        if shape is None:
            return None
        if not isinstance(shape, list) or not all(_is_dimension(entry) for entry in shape):
            raise ValidationError("Enter a list of positive whole numbers, with null for a free dimension.")
        return shape


def _is_dimension(entry: object) -> bool:
    return entry is None or (isinstance(entry, int) and not isinstance(entry, bool) and 0 < entry < 2**31)


class ModelPage(TrailField, SafeAdmin[Row]):
    """What the pages of all kinds of models share. Models are created through the API, which checks their files."""

    is_addable = False
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    created = time_of("created_at", "created")

    def delete_model(self, request: HttpRequest, obj: Row) -> None:
        services.delete_model(model_id=obj.pk, user=operator_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for model_id in list(queryset.values_list("pk", flat=True)):
            try:
                services.delete_model(model_id=model_id, user=operator_of(request))
            except EntityNotFound:
                continue  # deleted together with an earlier one

    @admin.display(description="weights")
    def weights_size(self, row: GlobalModel | LocalModel) -> str:
        return file_size(row.weights_file)


class ModelList(ChangeList):
    """The list's links lead to the pages that show a model, which link to the forms."""

    def url_for_result(self, result: Any) -> str:
        return reverse("admin:model", args=[result.pk])


# Django makes "swag model" of the class's name. Said in the model, it takes a migration.
SWAGModel._meta.verbose_name, SWAGModel._meta.verbose_name_plural = "SWAG model", "SWAG models"


@admin.register(GlobalModel, SWAGModel, MeanModel)
class GlobalModelAdmin(ModelPage[GlobalModel]):
    """Models that trainings improve. The list of global models includes SWAG and mean models."""

    form = GlobalModelForm
    list_display = ("name", "kind", "owner", "round", "training_link", "updates", "input_shape", "created")
    list_select_related = ("owner", "current_version")
    list_filter = (
        ("training__state", admin.ChoicesFieldListFilter),
        ("preprocessing_file", admin.EmptyFieldListFilter),
        "created_at",
    )
    search_fields = ("name", "description", "owner__username")
    search_help_text = "Name, description, owner or the beginning of the id of a model or its training"
    uuid_search_fields = ("id", "training__id")
    readonly_fields = (
        "id", "kind", "owner", "round", "created", "training_link", "updates", "metrics_link", "events_link",
        "trail_link", "weights_size", "preprocessing_size", "statistics",
    )  # fmt: skip
    OWN: Mapping[type[Model] | None, tuple[str, ...]] = {
        SWAGModel: ("first_moment_size", "second_moment_size"),
        MeanModel: ("members",),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[GlobalModel]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                training_id=F("training__id"),
                training_state=F("training__state"),
                updates=number_of(LocalModel.objects.non_polymorphic(), "base_model"),
            )
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return ModelList

    def get_readonly_fields(self, request: HttpRequest, obj: GlobalModel | None = None) -> tuple[str, ...]:
        shown = (*super().get_readonly_fields(request, obj), "versions_panel")
        return (*shown, *self.OWN.get(type(obj) if obj else None, ()))

    def get_fields(self, request: HttpRequest, obj: GlobalModel | None = None) -> tuple[str, ...]:
        shown = self.get_readonly_fields(request, obj)
        return ("name", "description", "input_shape", *(name for name in shown if name != "versions_panel"))

    def get_fieldsets(self, request: HttpRequest, obj: GlobalModel | None = None) -> Any:
        sets = ((None, {"fields": self.get_fields(request, obj)}),)
        return sets if isinstance(obj, MeanModel) else (*sets, ("Versions", {"fields": ("versions_panel",)}))

    def save_model(self, request: HttpRequest, obj: GlobalModel, form: Any, change: bool) -> None:  # noqa: ARG002
        # Only what was edited: the round may have been closed since the form was read.
        values = {name: form.cleaned_data[name] for name in form.changed_data}
        if values:
            services.edit_model(model_id=obj.pk, user=operator_of(request), values=values)

    def dependents(self, rows: list[GlobalModel]) -> Iterable[QuerySet[Any]]:
        return (
            Training.objects.filter(model__in=rows),
            ModelVersion.objects.filter(model__in=rows),
            LocalModel.objects.non_polymorphic().filter(base_model__in=rows),
            Metric.objects.filter(model__in=rows),
        )

    @admin.display
    def kind(self, row: GlobalModel) -> str:
        return {SWAGModel: "SWAG", MeanModel: "mean"}.get(type(row), "global")

    @admin.display(description="training", ordering="training_state")
    def training_link(self, row: GlobalModelRow) -> SafeString | str:
        state = "" if row.training_state is None else TrainingState(row.training_state).label
        return link(Training, row.training_id, state)

    @admin.display(description="updates kept", ordering="updates")
    def updates(self, row: GlobalModelRow) -> int:
        return row.updates

    @admin.display(description="metrics")
    def metrics_link(self, row: GlobalModel) -> SafeString:
        return list_link(Metric, str(row.metrics.count()), model__id__exact=row.pk)

    @admin.display(description="events")
    def events_link(self, row: GlobalModel) -> SafeString:
        return list_link(Event, str(row.events.count()), model__id__exact=row.pk)

    @admin.display(description="latest versions")
    def versions_panel(self, row: GlobalModel) -> SafeString | str:
        return panels.versions(row)

    @admin.display(description="preprocessing")
    def preprocessing_size(self, row: GlobalModel) -> str:
        return file_size(row.preprocessing_file)

    @admin.display(description="layer statistics")
    def statistics(self, row: GlobalModel) -> str:
        if not isinstance(row.stats, dict):
            return "not computed"
        return f"{row.stats.get('total_params', '?')} parameters, {row.stats.get('trainable_params', '?')} trainable"

    @admin.display(description="first moment")
    def first_moment_size(self, row: SWAGModel) -> str:
        return file_size(row.version_file("first_moment"))

    @admin.display(description="second moment")
    def second_moment_size(self, row: SWAGModel) -> str:
        return file_size(row.version_file("second_moment"))

    @admin.display(description="mean of")
    def members(self, row: MeanModel) -> SafeString | str:
        members = row.models.non_polymorphic().values_list("pk", "name")
        return format_html_join(", ", "{}", ([link(GlobalModel, key, name)] for key, name in members)) or NOTHING


@admin.register(LocalModel)
class LocalModelAdmin(ModelPage[LocalModel]):
    """The updates that participants uploaded. If one is deleted while its round is open, its owner is awaited again."""

    is_editable = False
    list_display = ("short_id", "base_link", "owner", "round", "sample_size", "passed_to", "created")
    list_select_related = ("owner", "passed_to")
    list_filter = ("created_at", ("passed_to", admin.EmptyFieldListFilter))
    search_fields = ("owner__username", "base_model__name")
    search_help_text = "Owner, name of the global model or the beginning of the id of either model"
    uuid_search_fields = ("id", "base_model__id")
    fields = readonly_fields = (
        "id", "base_link", "owner_link", "round", "sample_size", "passed_to", "created", "weights_size",
        "metrics_link", "trail_link",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[LocalModel]:
        return super().get_queryset(request).annotate(base_name=F("base_model__name"))

    def dependents(self, rows: list[LocalModel]) -> Iterable[QuerySet[Any]]:
        return (Metric.objects.filter(model__in=rows),)

    @admin.display(description="update", ordering="id")
    def short_id(self, row: LocalModel) -> str:
        return str(row.pk)[:8]

    @admin.display(description="global model", ordering="base_name")
    def base_link(self, row: LocalModelRow) -> SafeString | str:
        return link(GlobalModel, row.base_model_id, row.base_name)

    @admin.display(description="owner")
    def owner_link(self, row: LocalModel) -> SafeString | str:
        return link(User, row.owner_id, row.owner.username)

    @admin.display(description="metrics")
    def metrics_link(self, row: LocalModel) -> SafeString:
        return list_link(Metric, str(row.metrics.count()), model__id__exact=row.pk)
