"""Metrics, deliveries, invitations and events.

Metrics can be deleted, deliveries resent and invitations withdrawn; everything else is view only.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

from django.contrib import admin, messages
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Length
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django_stubs_ext import WithAnnotations

from fl_server_api.admin.base import SafeAdmin, ViewOnlyAdmin, operator_of
from fl_server_api.admin.columns import (
    OF_TRAINING,
    TrainingColumn,
    TrainingName,
    time_of,
    with_training,
)
from fl_server_api.admin.html import figures_list, link
from fl_server_api.admin.panels import without_error
from fl_server_api.pages.html import NOTHING, moment
from fl_server_core import policies
from fl_server_core.models import (
    Delivery,
    Event,
    GlobalModel,
    InvitationState,
    LocalModel,
    Metric,
    ModelVersion,
    Round,
    TrainingInvitation,
    User,
)
from fl_server_core.services.delivery_retries import retry_deliveries
from fl_server_core.services.metrics import delete_metrics
from fl_server_core.services.training_invitations import withdraw_invitation


class MetricColumns(TypedDict):
    """global_name: None for a metric of an update. binary_size: bytes; None for a number."""

    global_name: str | None
    binary_size: int | None


class EventColumns(TrainingName):
    about_name: str | None
    shows_errors: bool


MetricRow: TypeAlias = "WithAnnotations[Metric, MetricColumns]"
DeliveryRow: TypeAlias = "WithAnnotations[Delivery, TrainingName]"
EventRow: TypeAlias = "WithAnnotations[Event, EventColumns]"


class ValueFilter(admin.SimpleListFilter):
    title = "value"
    parameter_name = "value"

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, str], ...]:  # noqa: ARG002
        return (("number", "a number"), ("binary", "binary"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Metric]) -> QuerySet[Metric]:  # noqa: ARG002
        wanted = self.value()
        return queryset if wanted is None else queryset.filter(value_binary__isnull=wanted != "binary")


@admin.register(Metric)
class MetricAdmin(SafeAdmin[Metric]):
    is_addable = is_editable = False
    created = time_of("created_at", "created")
    list_display = ("key", "value_text", "model_link", "step", "version_link", "reporter", "created")
    list_select_related = ("reporter", "version")
    csv_fields = ("model_id", "value_float", "value_special")
    list_filter = (ValueFilter, "created_at")
    search_fields = ("key", "identifier", "reporter__username", "model__globalmodel__name")
    search_help_text = "Key, reporter, model or the beginning of a model's id"
    uuid_search_fields = ("model__id",)
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = readonly_fields = (
        "key", "identifier", "value_text", "model_link", "step", "version_link", "test_round_link", "reporter_link",
        "created",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Metric]:
        # The database knows how long a binary value is: it doesn't have to be read.
        rows = super().get_queryset(request).defer("value_binary")
        return rows.annotate(binary_size=Length("value_binary"), global_name=F("model__globalmodel__name"))

    def delete_model(self, request: HttpRequest, obj: Metric) -> None:
        delete_metrics(metric_ids=[obj.pk], user=operator_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Metric]) -> None:
        delete_metrics(metric_ids=list(queryset.values_list("pk", flat=True)), user=operator_of(request))

    @admin.display(description="value", ordering="value_float", empty_value=NOTHING)
    def value_text(self, row: MetricRow) -> str | None:
        if row.binary_size is not None:
            return f"binary, {filesizeformat(row.binary_size)}"
        return (row.value_special or None) if row.value_float is None else f"{row.value_float:.6g}"

    @admin.display(description="model", ordering="global_name")
    def model_link(self, row: MetricRow) -> SafeString | str:
        if row.global_name is None:
            return link(LocalModel, row.model_id, "a local model")
        return link(GlobalModel, row.model_id, row.global_name)

    @admin.display(description="version", ordering="version__number")
    def version_link(self, row: MetricRow) -> SafeString | str:
        return NOTHING if row.version is None else link(ModelVersion, row.version_id, row.version.number)

    @admin.display(description="test round")
    def test_round_link(self, row: MetricRow) -> SafeString | str:
        return NOTHING if row.test_round is None else link(Round, row.test_round_id, row.test_round.number)

    @admin.display(description="reporter")
    def reporter_link(self, row: MetricRow) -> SafeString | str:
        return link(User, row.reporter_id, row.reporter)


@admin.register(Delivery)
class DeliveryAdmin(TrainingColumn, ViewOnlyAdmin[Delivery]):
    created = time_of("created_at", "created")
    tried = time_of("last_attempt_at", "last attempt")
    due = time_of("next_attempt_at", "not before")
    queued = time_of("enqueued_at", "queued")
    settled = time_of("settled_at", "settled")
    list_display = (
        "created", "notification", "receiver", "training_link", "round_link", "status", "attempts", "next_try",
        "error",
    )  # fmt: skip
    list_select_related = ("receiver", "round")
    csv_fields = ("uuid", "training_uuid", "last_error")
    list_filter = ("status", "notification_type", "created_at")
    search_fields = ("receiver__username", "last_error", OF_TRAINING)
    search_help_text = "Receiver, error, training or the beginning of the id of a training or a delivery"
    uuid_search_fields = ("uuid", "training_uuid")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    actions = ("retry",)
    fields = readonly_fields = (
        "public_id", "notification", "body", "receiver", "training_link", "training_id_text", "round_link", "status",
        "created", "attempts", "tried", "due", "queued", "settled", "last_error",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return with_training(super().get_queryset(request))

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("fl_server_core.change_delivery")

    @admin.action(permissions=["retry"], description="Resend the selected deliveries that are pending or have failed")
    def retry(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        number = retry_deliveries(deliveries=Delivery.objects.filter(pk__in=ids), user=operator_of(request))
        self.message_user(request, f"Notifications queued again: {number} of {len(ids)}.", messages.SUCCESS)

    @admin.display(description="id")
    def public_id(self, row: DeliveryRow) -> str:
        return str(row.uuid)

    @admin.display(description="type", ordering="notification_type")
    def notification(self, row: DeliveryRow) -> str:
        return row.get_notification_type_display()

    @admin.display(description="training's id")
    def training_id_text(self, row: DeliveryRow) -> str:
        return str(row.training_uuid)

    @admin.display(description="round", ordering="round__number")
    def round_link(self, row: DeliveryRow) -> SafeString | str:
        return NOTHING if row.round is None else link(Round, row.round_id, row.round.number)

    @admin.display(description="not before", ordering="next_attempt_at")
    def next_try(self, row: DeliveryRow) -> SafeString | str:
        return moment(row.next_attempt_at) if row.settled_at is None else NOTHING

    @admin.display(description="last error", ordering="last_error")
    def error(self, row: DeliveryRow) -> str:
        return Truncator(row.last_error).chars(80) or NOTHING


@admin.register(TrainingInvitation)
class TrainingInvitationAdmin(TrainingColumn, ViewOnlyAdmin[TrainingInvitation]):
    """Who was invited, by whom, and the answer. Invite on the training's page."""

    created = time_of("created_at", "invited")
    settled = time_of("settled_at", "settled")
    list_display = ("created", "user", "training_link", "invited_by", "state", "settled")
    list_select_related = ("user", "invited_by")
    list_filter = ("state", "created_at")
    search_fields = ("user__username", "invited_by__username", OF_TRAINING)
    search_help_text = "User, who invited, training or the beginning of the id of a training"
    uuid_search_fields = ("training__id",)
    date_hierarchy = "created_at"
    ordering = ("-id",)
    actions = ("withdraw",)
    fields = readonly_fields = ("user", "training_link", "invited_by", "state", "created", "settled")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingInvitation]:
        return with_training(super().get_queryset(request))

    def has_withdraw_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("fl_server_core.change_training")

    @admin.action(permissions=["withdraw"], description="Withdraw the selected invitations that are open")
    def withdraw(self, request: HttpRequest, queryset: QuerySet[TrainingInvitation]) -> None:
        chosen = list(queryset.filter(state=InvitationState.OPEN).order_by("training", "id"))
        number = sum(
            self.is_done(request, withdraw_invitation, invitation_id=invitation.pk, user=operator_of(request))
            for invitation in chosen
        )
        self.message_user(request, f"Invitations withdrawn: {number}.", messages.SUCCESS)


@admin.register(Event)
class EventAdmin(TrainingColumn, ViewOnlyAdmin[Event]):
    happened = time_of("at", "time")
    list_display = ("happened", "kind", "round", "training_link", "model_link", "user", "author", "text")
    list_select_related = ("user", "author")
    csv_fields = ("training_id", "model_id", "message", "figures")
    list_filter = ("kind", "at")
    search_fields = ("user__username", "author__username", "message", OF_TRAINING, "model__name")
    search_help_text = "User, author, message, training, model or the beginning of the id of a training or a model"
    uuid_search_fields = ("training__id", "model__id")
    date_hierarchy = "at"
    ordering = ("-id",)
    fields = readonly_fields = (
        "happened", "kind", "round", "training_link", "model_link", "user", "author", "message", "figures_text",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        shows_errors = Value(policies.permits(operator_of(request), "view", Delivery))
        rows = super().get_queryset(request).annotate(about_name=F("model__name"), shows_errors=shows_errors)
        return with_training(rows)

    @admin.display(description="figures")
    def figures_text(self, row: EventRow) -> SafeString | str:
        return figures_list(row.figures if row.shows_errors else without_error(row.figures))

    @admin.display(description="model", ordering="about_name")
    def model_link(self, row: EventRow) -> SafeString | str:
        return link(GlobalModel, row.model_id, row.about_name)

    @admin.display(description="message", ordering="message")
    def text(self, row: EventRow) -> str:
        return Truncator(row.message).chars(120) or NOTHING
