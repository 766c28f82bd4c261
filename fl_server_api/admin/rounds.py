"""Rounds and submissions: view only."""

from __future__ import annotations

from typing import TypeAlias, TypedDict

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django_stubs_ext import WithAnnotations

from fl_server_api.admin.base import ViewOnlyAdmin, number_of
from fl_server_api.admin.columns import (
    OF_ROUND,
    OF_TRAINING,
    FiguresField,
    TrainingColumn,
    TrainingName,
    figure_of,
    kind_title,
    time_of,
    with_training,
)
from fl_server_api.admin.html import figures_list, file_size, link, list_link
from fl_server_api.admin.panels import updates_table
from fl_server_api.pages.html import NOTHING
from fl_server_core.models import Delivery, LocalModel, ModelVersion, Round, Submission
from fl_server_core.selectors.figures import BY_PARTICIPANT, REPLAY_OF


class RoundColumns(TrainingName):
    received: int


class SubmissionColumns(TypedDict):
    training_id: object
    training_name: str | None


RoundRow: TypeAlias = "WithAnnotations[Round, RoundColumns]"
SubmissionRow: TypeAlias = "WithAnnotations[Submission, SubmissionColumns]"


@admin.register(Round)
class RoundAdmin(TrainingColumn, ViewOnlyAdmin[Round]):
    opened = time_of("opened_at", "opened")
    due = time_of("deadline", "deadline")
    closed = time_of("closed_at", "closed")
    lease = time_of("lease_until", "lease until")
    failing_since = time_of("problem_since", "problem since")
    list_display = (
        "title", "training_link", "number", "status", "submissions", "opened", "due", "closed", "problem",
    )  # fmt: skip
    csv_fields = ("training_id", "figures")
    list_filter = ("kind", "outcome", "opened_at")
    search_fields = (OF_TRAINING,)
    search_help_text = "Training or the beginning of its id"
    uuid_search_fields = ("training__id",)
    date_hierarchy = "opened_at"
    ordering = ("-id",)
    fields = readonly_fields = (
        "training_link", "number", "title", "status", "opened", "due", "closed", "submissions", "deliveries", "version",
        "claim", "lease", "attempts", "problem", "failing_since", "updates", "figures_text",
    )  # fmt: skip

    @admin.display(description="updates")
    def updates(self, row: RoundRow) -> SafeString | str:
        return updates_table(row)

    @admin.display(description="figures")
    def figures_text(self, row: RoundRow) -> SafeString | str:
        return figures_list({name: value for name, value in row.figures.items() if name != BY_PARTICIPANT})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Round]:
        rows = super().get_queryset(request).annotate(received=number_of(Submission.objects.all(), "round"))
        return with_training(rows).defer("figures")  # of all participants: for the page of one round

    @admin.display(description="kind", ordering="kind")
    def title(self, row: RoundRow) -> str:
        return kind_title(row.kind)

    @admin.display(description="status", ordering="outcome")
    def status(self, row: RoundRow) -> str:
        if row.closed_at is not None:
            return row.get_outcome_display() or "closed"
        if row.opened_at is None:
            return "not open yet"
        return "open" if row.claim is None else "being closed"

    @admin.display(description="submissions", ordering="received")
    def submissions(self, row: RoundRow) -> SafeString | str:
        return list_link(Submission, str(row.received), round__id__exact=row.pk)

    @admin.display(description="notifications")
    def deliveries(self, row: RoundRow) -> SafeString:
        return list_link(Delivery, str(row.deliveries.count()), round__id__exact=row.pk)

    @admin.display(description="made version")
    def version(self, row: RoundRow) -> SafeString | str:
        made = row.versions.first()
        return NOTHING if made is None else link(ModelVersion, made.pk, made.number)


@admin.register(Submission)
class SubmissionAdmin(TrainingColumn, FiguresField, ViewOnlyAdmin[Submission]):
    submitted = time_of("submitted_at", "submitted")
    norm = figure_of("norm")
    cosine = figure_of("cosine")
    share = figure_of("share")
    replayed = figure_of(REPLAY_OF, "sent before in round")
    list_display = (
        "submitted", "participant", "training_link", "title", "number", "sample_size", "norm", "cosine", "share",
        "replayed", "is_counted",
    )  # fmt: skip
    list_select_related = ("participant", "round")
    csv_fields = ("round_id", "figures")
    list_filter = ("round__kind", "counted", "submitted_at")
    search_fields = ("participant__username", OF_ROUND)
    search_help_text = "Participant, training or the beginning of the id of a training or the model submitted to"
    uuid_search_fields = ("round__training__id", "target")
    date_hierarchy = "submitted_at"
    ordering = ("-submitted_at", "-id")
    fields = readonly_fields = (
        "training_link", "participant", "round_link", "title", "submitted", "sample_size", "is_counted", "target",
        "update_link", "digest", "content", "file_sizes", "figures_text",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Submission]:
        rows = super().get_queryset(request)
        return rows.annotate(training_id=F("round__training"), training_name=F(OF_ROUND))

    @admin.display(description="kind", ordering="round__kind")
    def title(self, row: SubmissionRow) -> str:
        return kind_title(row.round.kind)

    @admin.display(description="round", ordering="round__number")
    def number(self, row: SubmissionRow) -> int:
        return row.round.number

    @admin.display(description="round")
    def round_link(self, row: SubmissionRow) -> SafeString | str:
        return link(Round, row.round_id, row.round.number)

    @admin.display(description="counted", ordering="counted")
    def is_counted(self, row: SubmissionRow) -> str:
        if row.counted:
            return "yes"
        return "not yet" if row.round.closed_at is None else "no"

    @admin.display(description="update")
    def update_link(self, row: SubmissionRow) -> SafeString | str:
        return link(LocalModel, row.local_model_id, str(row.local_model_id)[:8])

    @admin.display(description="files")
    def file_sizes(self, row: SubmissionRow) -> str:
        return ", ".join(f"{one.name}: {file_size(one.file)}" for one in row.files.all()) or NOTHING
