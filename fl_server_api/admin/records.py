"""What the server wrote down while trainings ran: to be looked at; metrics may also be deleted."""

from __future__ import annotations

from typing import Any, Protocol

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from fl_server_api.admin.base import SafeAdmin, ViewOnlyAdmin, operator_of
from fl_server_api.admin.html import NOTHING, file_size, link, moment, time_of
from fl_server_core.models import Delivery, Event, GlobalModel, LocalModel, Metric, Round, Submission, Training, User
from fl_server_core.services.delivery_retries import retry_deliveries

OF_TRAINING = ("training__model__globalmodel__name",)
OF_ROUND = ("round__training__model__globalmodel__name",)


class OfTraining(Protocol):
    training_id: Any
    training_name: str | None


class MetricRow(Protocol):
    model_id: Any
    global_name: str | None
    value_float: float | None
    value_special: str
    binary_size: int | None


class TrainingColumn:
    """The training of a row, by the name of its model."""

    @admin.display(description="training", ordering="training_name")
    def training_link(self, row: OfTraining) -> SafeString | str:
        return link(Training, row.training_id, row.training_name)


def _with_training(rows: QuerySet[Any]) -> QuerySet[Any]:
    named: QuerySet[Any] = rows.annotate(training_name=F("training__model__globalmodel__name"))
    return named


@admin.register(Round)
class RoundAdmin(TrainingColumn, ViewOnlyAdmin[Round]):
    opened = time_of("opened_at", "opened")
    due = time_of("deadline", "deadline")
    closed = time_of("closed_at", "closed")
    lease = time_of("lease_until", "lease until")
    failing_since = time_of("problem_since", "problem since")
    list_display = ("training_link", "number", "kind", "opened", "due", "closed", "outcome", "attempts")
    list_filter = ("kind", "outcome", "opened_at")
    search_fields = OF_TRAINING
    search_help_text = "Training or the beginning of its id"
    uuid_search_fields = ("training__id",)
    date_hierarchy = "opened_at"
    ordering = ("-id",)
    fields = readonly_fields = (
        "training_link", "number", "kind", "opened", "due", "closed", "outcome", "claim", "lease", "attempts",
        "problem", "failing_since", "figures",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Round]:
        return _with_training(super().get_queryset(request))


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
    list_display = ("key", "value_text", "model_link", "step", "reporter", "created")
    list_select_related = ("reporter",)
    list_filter = (ValueFilter, "created_at")
    search_fields = ("key", "identifier", "reporter__username", "model__globalmodel__name")
    search_help_text = "Key, reporter, model or the beginning of a model's id"
    uuid_search_fields = ("model__id",)
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = readonly_fields = (
        "key", "identifier", "value_text", "model_link", "step", "reporter_link", "created",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Metric]:
        # How long a binary value is can be said without reading it.
        rows = super().get_queryset(request).defer("value_binary")
        return rows.annotate(binary_size=Length("value_binary"), global_name=F("model__globalmodel__name"))

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

    @admin.display(description="reporter")
    def reporter_link(self, row: Metric) -> SafeString | str:
        return link(User, row.reporter_id, row.reporter)


@admin.register(Submission)
class SubmissionAdmin(ViewOnlyAdmin[Submission]):
    submitted = time_of("submitted_at", "submitted")
    list_display = ("submitted", "training_link", "participant", "kind", "number", "sample_size", "is_counted")
    list_select_related = ("participant", "round")
    list_filter = ("round__kind", "counted", "submitted_at")
    search_fields = ("participant__username", *OF_ROUND)
    search_help_text = "Participant, training or the beginning of the id of a training or the model submitted to"
    uuid_search_fields = ("round__training__id", "target")
    date_hierarchy = "submitted_at"
    ordering = ("-submitted_at", "-id")
    fields = (
        "training_link", "participant", "kind", "number", "submitted", "sample_size", "is_counted", "target",
        "local_model", "digest", "content", "file_sizes",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Submission]:
        return super().get_queryset(request).annotate(training_name=F(OF_ROUND[0]))

    @admin.display(description="training", ordering="training_name")
    def training_link(self, row: Any) -> SafeString | str:
        return link(Training, row.round.training_id, row.training_name)

    @admin.display(ordering="round__kind")
    def kind(self, row: Submission) -> str:
        return row.round.kind

    @admin.display(description="round", ordering="round__number")
    def number(self, row: Submission) -> int:
        return row.round.number

    @admin.display(description="counted", ordering="counted")
    def is_counted(self, row: Submission) -> str:
        if row.counted:
            return "yes"
        return "not yet" if row.round.closed_at is None else "no"

    @admin.display(description="files")
    def file_sizes(self, row: Submission) -> str:
        return ", ".join(f"{one.name}: {file_size(one.file)}" for one in row.files.all()) or NOTHING


@admin.register(Delivery)
class DeliveryAdmin(TrainingColumn, ViewOnlyAdmin[Delivery]):
    created = time_of("created_at", "created")
    tried = time_of("last_attempt_at", "last tried")
    due = time_of("next_attempt_at", "not before")
    queued = time_of("enqueued_at", "put into the queue")
    settled = time_of("settled_at", "settled")
    list_display = (
        "created", "notification_type", "receiver", "training_link", "round", "status", "attempts", "next_try", "error",
    )  # fmt: skip
    list_select_related = ("receiver", "round")
    list_filter = ("status", "notification_type", "created_at")
    search_fields = ("receiver__username", "last_error", *OF_TRAINING)
    search_help_text = "Receiver, error, training or the beginning of the id of a training or a delivery"
    uuid_search_fields = ("uuid", "training_uuid")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    actions = ("retry",)
    fields = readonly_fields = (
        "uuid", "notification_type", "body", "receiver", "training_link", "training_uuid", "round", "status",
        "created", "attempts", "tried", "due", "queued", "settled", "last_error",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return _with_training(super().get_queryset(request))

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("fl_server_core.change_delivery")

    @admin.action(permissions=["retry"], description="Send again, now, those that are pending or were given up")
    def retry(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        number = retry_deliveries(deliveries=Delivery.objects.filter(pk__in=ids), user=operator_of(request))
        self.message_user(request, f"{number} of {len(ids)} notifications are sent again.", messages.SUCCESS)

    @admin.display(description="not before", ordering="next_attempt_at")
    def next_try(self, row: Delivery) -> SafeString | str:
        return moment(row.next_attempt_at) if row.settled_at is None else NOTHING

    @admin.display(description="last error", ordering="last_error")
    def error(self, row: Delivery) -> str:
        return Truncator(row.last_error).chars(80) or NOTHING


@admin.register(Event)
class EventAdmin(TrainingColumn, ViewOnlyAdmin[Event]):
    happened = time_of("at", "at")
    list_display = ("happened", "training_link", "kind", "round", "user", "author", "text")
    list_select_related = ("user", "author")
    list_filter = ("kind", "at")
    search_fields = ("user__username", "message", *OF_TRAINING)
    search_help_text = "User, message, training or the beginning of a training's id"
    uuid_search_fields = ("training__id",)
    date_hierarchy = "at"
    ordering = ("-id",)
    fields = readonly_fields = (
        "happened",
        "training_link",
        "model",
        "kind",
        "round",
        "user",
        "author",
        "message",
        "figures",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        return _with_training(super().get_queryset(request))

    @admin.display(description="message", ordering="message")
    def text(self, row: Event) -> str:
        return Truncator(row.message).chars(120) or NOTHING
