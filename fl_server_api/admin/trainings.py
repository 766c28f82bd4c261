from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeAlias, TypedDict
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, OuterRef, QuerySet, Subquery, Value
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from django_stubs_ext import WithAnnotations

from fl_server_api.admin import panels
from fl_server_api.admin.base import SafeAdmin, number_of, operator_of
from fl_server_api.admin.columns import TrailField, kind_title, named, time_of
from fl_server_api.admin.html import counted, link
from fl_server_api.admin.training_form import EDITABLE, MEMBERSHIP, TrainingForm
from fl_server_api.pages.comparison import MAX_COMPARED
from fl_server_api.pages.html import NOTHING
from fl_server_core import policies
from fl_server_core.models import Delivery, Event, GlobalModel, Round, Submission, Training, TrainingInvitation, User
from fl_server_core.models.training import UncertaintyMethod
from fl_server_core.selectors.rounds import rounds_closed
from fl_server_core.services import trainings as services
from fl_server_core.services.delivery_retries import retry_deliveries
from fl_server_core.services.participants import add_participants, remove_participants

OF_OPEN_ROUND = {
    "kind": "kind", "phase_word": "phase", "since": "opened_at", "deadline": "deadline", "lease_until": "lease_until",
    "claim": "claim", "claim_attempts": "attempts", "problem": "problem", "problem_since": "problem_since",
}  # fmt: skip
"""Columns of the open round, by the names that they have on the training's row here."""


class TrainingColumns(TypedDict):
    """round: of the model. expected: how many participants. arrived: how many have submitted to the open round."""

    round: int
    model_name: str
    expected: int
    arrived: int
    shows_errors: bool
    kind: str | None
    phase_word: str | None
    since: datetime | None
    deadline: datetime | None
    lease_until: datetime | None
    claim: UUID | None
    claim_attempts: int | None
    problem: str | None
    problem_since: datetime | None


TrainingRow: TypeAlias = "WithAnnotations[Training, TrainingColumns]"


class TrainingList(ChangeList):
    """The list's links lead to the live pages, which link to the forms."""

    def url_for_result(self, result: Any) -> str:
        return reverse("admin:training", args=[result.pk])


@admin.register(Training)
class TrainingAdmin(TrailField, SafeAdmin[Training]):
    """Trainings: their state and what they wait for. They are created through the API."""

    is_addable = False
    form = TrainingForm
    list_display = (
        "name", "state", "waits_for", "rounds_closed", "submissions", "due", "method", "actor", "changed",
    )  # fmt: skip
    list_select_related = ("actor",)
    csv_fields = ("model_id", "options")
    list_filter = ("state", "aggregation_method", "uncertainty_method", "locked", "last_update")
    search_fields = ("model__globalmodel__name", "actor__username", "participants__username")
    search_help_text = "Model, actor, participant or the beginning of the id of a training or its model"
    uuid_search_fields = ("id", "model__id")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "id")
    actions = ("compare", "start", "resume", "stop", "retry_deliveries")
    readonly_fields = (
        "id", "model_link", "actor_link", "aggregation_method", "uncertainty_method", "created", "state", "phase",
        "since", "round", "rounds_closed", "submissions", "due", "changed", "claimed", "claim", "lease",
        "claim_attempts", "problem", "failing_since", "participants_panel", "invitations_panel", "history_panel",
        "trail_link", "deliveries_panel",
    )  # fmt: skip
    WHAT = ("id", "model_link", "actor_link", ("aggregation_method", "uncertainty_method"), "created")
    WHERE = (
        ("state", "phase", "since"), ("round", "rounds_closed", "submissions"), ("due", "changed"),
        ("claimed", "lease", "claim_attempts"), ("problem", "failing_since"), "claim",
    )  # fmt: skip

    created = time_of("created_at", "created")
    changed = time_of("last_update", "changed")
    since = time_of("since", "since")
    due = time_of("deadline", "deadline")
    lease = time_of("lease_until", "lease until")
    failing_since = time_of("problem_since", "problem since")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Training]:
        open_rounds = Round.objects.filter(training=OuterRef("pk"), opened_at__isnull=False, closed_at=None)
        submissions = Submission.objects.filter(round__opened_at__isnull=False, round__closed_at=None)
        return (
            super()
            .get_queryset(request)
            .annotate(
                round=F("model__round"),
                model_name=F("model__globalmodel__name"),
                expected=number_of(Training.participants.through.objects.all(), "training"),
                arrived=number_of(submissions, "round__training"),
                shows_errors=Value(policies.permits(operator_of(request), "view", Delivery)),
                **{name: Subquery(open_rounds.values(column)) for name, column in OF_OPEN_ROUND.items()},
            )
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return TrainingList

    def get_fieldsets(self, request: HttpRequest, obj: Training | None = None) -> Any:
        membership = MEMBERSHIP if self.has_change_permission(request, obj) else ()
        sees_deliveries = policies.permits(operator_of(request), "view", Delivery)
        return (
            (None, {"fields": self.WHAT}),
            ("Where it is", {"fields": self.WHERE}),
            ("What it does", {"fields": EDITABLE}),
            ("Participants", {"fields": ("participants_panel", "invitations_panel", *membership)}),
            ("History", {"fields": ("history_panel", "trail_link")}),
            *([("Notifications", {"fields": ("deliveries_panel",)})] if sees_deliveries else []),
        )

    def save_model(self, request: HttpRequest, obj: Training, form: Any, change: bool) -> None:  # noqa: ARG002
        # Only what was edited: a worker may have continued the training since the form was read.
        values = {name: form.cleaned_data[name] for name in EDITABLE if name in form.changed_data}
        operator = operator_of(request)
        if values:
            services.edit_training(training_id=obj.pk, user=operator, values=values)
        for field, change_participants in zip(MEMBERSHIP, (add_participants, remove_participants), strict=True):
            people = [person.pk for person in form.cleaned_data.get(field, ())]
            if people:
                change_participants(training_id=obj.pk, user=operator, user_ids=people)

    def delete_model(self, request: HttpRequest, obj: Training) -> None:
        services.delete_training(training_id=obj.pk, user=operator_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Training]) -> None:
        for training_id in list(queryset.values_list("pk", flat=True)):
            services.delete_training(training_id=training_id, user=operator_of(request))

    def dependents(self, rows: list[Training]) -> Iterable[QuerySet[Any]]:
        return (
            Round.objects.filter(training__in=rows),
            Submission.objects.filter(round__training__in=rows),
            TrainingInvitation.objects.filter(training__in=rows),
            Event.objects.filter(training__in=rows),
        )

    @admin.action(permissions=["view"], description="Compare the selected trainings")
    def compare(self, request: HttpRequest, queryset: QuerySet[Training]) -> HttpResponse:  # noqa: ARG002
        ids = list(queryset.values_list("pk", flat=True)[: MAX_COMPARED + 1])
        return HttpResponseRedirect(f"{reverse('admin:compare')}?{urlencode({'id': ids}, doseq=True)}")

    @admin.action(permissions=["change"], description="Start the selected trainings")
    def start(self, request: HttpRequest, queryset: QuerySet[Training]) -> None:
        self._steer(request, queryset, services.start_training, "started")

    @admin.action(permissions=["change"], description="Resume the selected trainings that have failed")
    def resume(self, request: HttpRequest, queryset: QuerySet[Training]) -> None:
        self._steer(request, queryset, services.resume_training, "resumed")

    @admin.action(permissions=["change"], description="Stop the selected trainings for good")
    def stop(self, request: HttpRequest, queryset: QuerySet[Training]) -> None:
        self._steer(request, queryset, services.stop_training, "stopped")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("fl_server_core.change_delivery")

    @admin.action(permissions=["retry"], description="Resend the undelivered notifications of the selected trainings")
    def retry_deliveries(self, request: HttpRequest, queryset: QuerySet[Training]) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        deliveries = Delivery.objects.filter(training__in=ids)
        number = retry_deliveries(deliveries=deliveries, user=operator_of(request))
        self.message_user(request, f"Notifications queued again: {number}.", messages.SUCCESS)

    def _steer(self, request: HttpRequest, queryset: QuerySet[Training], step: Callable[..., None], done: str) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        operator = operator_of(request)
        number = sum(self.is_done(request, step, training_id=training_id, user=operator) for training_id in ids)
        if number:
            self.message_user(request, f"{counted(number, len(ids), 'training')} {done}.", messages.SUCCESS)

    @admin.display(description="training", ordering="model_name")
    def name(self, row: TrainingRow) -> SafeString:
        return named(row.model_name, row.pk)

    @admin.display(description="open round", ordering="kind")
    def waits_for(self, row: TrainingRow) -> str:
        if row.kind is None or not row.is_running:
            return NOTHING
        return f"{kind_title(row.kind)}: is being closed" if row.locked else kind_title(row.kind)

    @admin.display(description="phase")
    def phase(self, row: TrainingRow) -> str:
        return row.phase_word or NOTHING

    @admin.display(description="being closed by a worker")
    def claimed(self, row: TrainingRow) -> str:
        return "yes" if row.locked else "no"

    @admin.display(description="claim")
    def claim(self, row: TrainingRow) -> str:
        return str(row.claim) if row.claim else NOTHING

    @admin.display(description="attempts")
    def claim_attempts(self, row: TrainingRow) -> int:
        return row.claim_attempts or 0

    @admin.display(description="problem")
    def problem(self, row: TrainingRow) -> str:
        return row.problem or NOTHING

    @admin.display(description="rounds")
    def rounds_closed(self, row: TrainingRow) -> str:
        return f"{rounds_closed(row, row.round)} of {row.target_num_updates}"

    @admin.display(description="model's round")
    def round(self, row: TrainingRow) -> int:
        return row.round

    @admin.display(description="submissions")
    def submissions(self, row: TrainingRow) -> str:
        return f"{row.expected} registered" if row.kind is None else f"{row.arrived} of {row.expected}"

    @admin.display(description="method", ordering="aggregation_method")
    def method(self, row: TrainingRow) -> str:
        aggregation = row.get_aggregation_method_display()
        plain = row.uncertainty_method == UncertaintyMethod.NONE
        return aggregation if plain else f"{aggregation}, {row.get_uncertainty_method_display()}"

    @admin.display(description="model")
    def model_link(self, row: TrainingRow) -> SafeString | str:
        return link(GlobalModel, row.model_id, row.model_name)

    @admin.display(description="actor")
    def actor_link(self, row: TrainingRow) -> SafeString | str:
        return link(User, row.actor_id, row.actor.username)

    @admin.display(description="participants")
    def participants_panel(self, row: TrainingRow) -> SafeString | str:
        return panels.participants(row, shows_errors=row.shows_errors)

    @admin.display(description="invited")
    def invitations_panel(self, row: TrainingRow) -> SafeString | str:
        return panels.invitations(row, shows_errors=row.shows_errors)

    @admin.display(description="latest events")
    def history_panel(self, row: TrainingRow) -> SafeString | str:
        return panels.history(row, shows_errors=row.shows_errors)

    @admin.display(description="latest notifications")
    def deliveries_panel(self, row: TrainingRow) -> SafeString | str:
        return panels.deliveries(row)
