"""Versions of global models: named, pinned and restored here."""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django_stubs_ext import WithAnnotations

from fl_server_api.admin.base import SafeAdmin, operator_of
from fl_server_api.admin.columns import kind_title, time_of
from fl_server_api.admin.html import counted, figures_list, file_size, link, list_link
from fl_server_api.admin.panels import DIGEST_LENGTH, means_of_versions, version_state
from fl_server_api.pages.html import NOTHING
from fl_server_core.models import GlobalModel, Metric, ModelVersion, Round
from fl_server_core.services.versions import describe_version, restore_version


class VersionColumns(TypedDict):
    model_name: str
    current_id: int | None


VersionRow: TypeAlias = "WithAnnotations[ModelVersion, VersionColumns]"


@admin.register(ModelVersion)
class ModelVersionAdmin(SafeAdmin[ModelVersion]):
    """Versions are made by uploads, rounds and restores, and deleted with their model."""

    is_addable = is_deletable = False
    list_display = ("number", "model_link", "round", "created", "file_size", "short_digest", "state", "name")
    list_filter = ("pinned", ("weights_file", admin.EmptyFieldListFilter), "created_at")
    search_fields = ("name", "digest", "model__name")
    search_help_text = "Name, SHA-256, model or the beginning of the model's id"
    uuid_search_fields = ("model__id",)
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
    actions = ("restore", "pin", "unpin")
    readonly_fields = (
        "number", "model_link", "round", "made_by_link", "created", "state", "weights_size", "digest", "parts",
        "means", "metrics_link",
    )  # fmt: skip
    fields = ("name", "pinned", *readonly_fields)
    created = time_of("created_at", "created")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        rows = super().get_queryset(request).select_related("made_by")
        return rows.annotate(model_name=F("model__name"), current_id=F("model__current_version"))

    def has_change_permission(self, request: HttpRequest, obj: ModelVersion | None = None) -> bool:
        # A name or a pin can't keep a file that is gone.
        return super().has_change_permission(request, obj) and (obj is None or obj.is_available)

    def save_model(self, request: HttpRequest, obj: ModelVersion, form: Any, change: bool) -> None:  # noqa: ARG002
        values = {name: form.cleaned_data[name] for name in form.changed_data}
        if values:
            describe_version(model_id=obj.model_id, number=obj.number, user=operator_of(request), **values)

    @admin.action(permissions=["change"], description="Restore the selected version")
    def restore(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        selected = list(queryset.values_list("model", "number"))
        if len(selected) != 1:
            self.message_user(request, "Select one version to restore.", messages.ERROR)
            return
        ((model_id, number),) = selected
        restored = restore_version(model_id=model_id, number=number, user=operator_of(request))
        self.message_user(request, f"Version {number} restored as version {restored}.", messages.SUCCESS)

    @admin.action(permissions=["change"], description="Pin the selected versions")
    def pin(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        self._set_pinned(request, queryset, True)

    @admin.action(permissions=["change"], description="Unpin the selected versions")
    def unpin(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        self._set_pinned(request, queryset, False)

    def _set_pinned(self, request: HttpRequest, queryset: QuerySet[ModelVersion], pinned: bool) -> None:
        selected: list[tuple[int, UUID, int]] = list(queryset.values_list("pk", "model", "number"))
        wanted = {"user": operator_of(request), "pinned": pinned}
        done = sum(
            self.is_done(request, describe_version, key=key, model_id=model_id, number=number, **wanted)
            for key, model_id, number in selected
        )
        if done:
            word = "pinned" if pinned else "unpinned"
            self.message_user(request, f"{counted(done, len(selected), 'version')} {word}.", messages.SUCCESS)

    @admin.display(description="model", ordering="model_name")
    def model_link(self, row: VersionRow) -> SafeString | str:
        return link(GlobalModel, row.model_id, row.model_name)

    @admin.display(description="size", ordering="size")
    def file_size(self, row: VersionRow) -> str:
        return filesizeformat(row.size)

    @admin.display(description="SHA-256", ordering="digest")
    def short_digest(self, row: VersionRow) -> str:
        return row.digest[:DIGEST_LENGTH] or NOTHING

    @admin.display(description="state", ordering="pinned")
    def state(self, row: VersionRow) -> str:
        return version_state(row, row.current_id)

    @admin.display(description="weights")
    def weights_size(self, row: VersionRow) -> str:
        return file_size(row.weights_file)

    @admin.display(description="made by")
    def made_by_link(self, row: VersionRow) -> SafeString | str:
        made_by = row.made_by
        return "upload" if made_by is None else link(Round, made_by.pk, f"{kind_title(made_by.kind)} {made_by.number}")

    @admin.display(description="other files")
    def parts(self, row: VersionRow) -> str:
        return ", ".join(f"{part.name}: {file_size(part.file)}" for part in row.files.all()) or NOTHING

    @admin.display(description="metrics (means)")
    def means(self, row: VersionRow) -> SafeString | str:
        return figures_list(means_of_versions(row.model).get(row.number))

    @admin.display(description="metrics")
    def metrics_link(self, row: VersionRow) -> SafeString:
        return list_link(Metric, str(row.metrics.count()), version__id__exact=row.pk)
