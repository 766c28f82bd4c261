from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.core.exceptions import ValidationError
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from fl_server_api.admin import panels
from fl_server_api.admin.base import SafeAdmin, number_of, operator_of
from fl_server_api.admin.fields import SafeJSONField, json_box
from fl_server_api.admin.generics import ModelForm
from fl_server_api.admin.html import NOTHING, link, time_of
from fl_server_core.exceptions import DomainError
from fl_server_core.models import Delivery, Event, GlobalModel, Round, Submission, Training, User
from fl_server_core.models.training import UncertaintyMethod
from fl_server_core.options import validate_options
from fl_server_core.registry import round_kinds
from fl_server_core.services import trainings as services
from fl_server_core.services.delivery_retries import retry_deliveries
from fl_server_core.services.participants import add_participants, remove_participants

EDITABLE = ("target_num_updates", "options", "metric_names")
MEMBERSHIP = ("add_participants", "remove_participants")


class TrainingRow(Protocol):
    """A training with what its list counts."""

    pk: Any
    model_id: Any
    model_name: str
    round: int
    first_round: int | None
    target_num_updates: int
    kind: str | None
    arrived: int
    expected: int
    locked: bool
    aggregation_method: str
    uncertainty_method: str

    def get_uncertainty_method_display(self) -> str: ...


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


class UserPicker(AutocompleteSelectMultiple):
    def optgroups(self, name: str, value: Sequence[str], attr: dict[str, Any] | None = None) -> Any:
        # A refused form is shown again with what was sent, which may be no id: Django asks the database for it.
        return super().optgroups(name, [key for key in value if _is_uuid(key)], attr)


class TrainingForm(ModelForm[Training]):
    target_num_updates = forms.IntegerField(
        min_value=1,
        max_value=2**31 - 1,
        help_text="Rounds from the start on. A running training ends with the round that reaches it.",
    )
    options = SafeJSONField(
        required=False, help_text="Known keys are checked, others kept. A new round_deadline holds from the next round."
    )
    metric_names = SafeJSONField(required=False, widget=json_box(2), help_text="A list of names; information only.")
    add_participants = forms.ModelMultipleChoiceField(
        User.objects.all(),
        required=False,
        widget=UserPicker(cast(Any, Training._meta.get_field("participants")), admin.site),
        help_text="Those who join a running training are told of it and of the open round.",
    )
    remove_participants = forms.ModelMultipleChoiceField(
        User.objects.none(),
        required=False,
        help_text="They are told, and their submissions to the open round are dropped.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        leaving = self.fields.get("remove_participants")
        if isinstance(leaving, forms.ModelMultipleChoiceField):
            leaving.queryset = self.instance.participants.order_by("username")

    def clean_options(self) -> dict[str, Any]:
        options = self.cleaned_data["options"]
        if options is None:
            return {}
        if not isinstance(options, dict):
            raise ValidationError("Enter an object.")
        training = self.instance
        known = validate_options(options, training.aggregation_method, training.uncertainty_method)
        if known.daisy_chain_period != self.instance.daisy_chain_period:
            raise ValidationError("daisy_chain_period cannot be changed: the number of rounds was reckoned from it.")
        return options

    def clean_metric_names(self) -> list[str]:
        names = self.cleaned_data["metric_names"]
        if names is None:
            return []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValidationError("Enter a list of names.")
        return names


@admin.register(Training)
class TrainingAdmin(SafeAdmin[Training]):
    """What is under way and what is waited for. Trainings are created through the API."""

    is_addable = False
    form = TrainingForm
    list_display = (
        "name", "state", "waits_for", "rounds_closed", "submissions", "due", "method", "actor", "changed",
    )  # fmt: skip
    list_select_related = ("actor",)
    list_filter = ("state", "aggregation_method", "uncertainty_method", "locked", "last_update")
    search_fields = ("model__globalmodel__name", "actor__username", "participants__username")
    search_help_text = "Model, actor, participant or the beginning of the id of a training or its model"
    uuid_search_fields = ("id", "model__id")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "id")
    actions = ("start", "resume", "stop", "retry_deliveries")
    readonly_fields = (
        "id", "model_link", "actor_link", "aggregation_method", "uncertainty_method", "created", "state", "phase",
        "since", "round", "rounds_closed", "submissions", "due", "changed", "locked", "claim", "lease",
        "claim_attempts", "problem", "failing_since", "participants_panel", "history_panel", "deliveries_panel",
    )  # fmt: skip
    WHAT = ("id", "model_link", "actor_link", ("aggregation_method", "uncertainty_method"), "created")
    WHERE = (
        ("state", "phase", "since"), ("round", "rounds_closed", "submissions"), ("due", "changed"),
        ("locked", "lease", "claim_attempts"), ("problem", "failing_since"), "claim",
    )  # fmt: skip

    created = time_of("created_at", "created")
    changed = time_of("last_update", "changed")
    since = time_of("since", "since")
    due = time_of("deadline", "deadline")
    lease = time_of("lease_until", "lease until")
    failing_since = time_of("problem_since", "problem since")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Training]:
        open_rounds = Round.objects.filter(training=OuterRef("pk"), opened_at__isnull=False, closed_at=None)
        of_round = {
            name: Subquery(open_rounds.values(column))
            for name, column in (
                ("kind", "kind"), ("phase_word", "phase"), ("since", "opened_at"), ("deadline", "deadline"),
                ("lease_until", "lease_until"), ("claim", "claim"), ("claim_attempts", "attempts"),
                ("problem", "problem"), ("problem_since", "problem_since"),
            )
        }  # fmt: skip
        submissions = Submission.objects.filter(round__opened_at__isnull=False, round__closed_at=None)
        return (
            super()
            .get_queryset(request)
            .annotate(
                round=F("model__round"),
                model_name=F("model__globalmodel__name"),
                expected=number_of(Training.participants.through.objects.all(), "training"),
                arrived=number_of(submissions, "round__training"),
                **of_round,
            )
        )

    def get_fieldsets(self, request: HttpRequest, obj: Training | None = None) -> Any:
        membership = MEMBERSHIP if self.has_change_permission(request, obj) else ()
        return (
            (None, {"fields": self.WHAT}),
            ("Where it is", {"fields": self.WHERE}),
            ("What it does", {"fields": EDITABLE}),
            ("Participants", {"fields": ("participants_panel", *membership)}),
            ("History", {"fields": ("history_panel",)}),
            ("Notifications", {"fields": ("deliveries_panel",)}),
        )

    def save_model(self, request: HttpRequest, obj: Training, form: Any, change: bool) -> None:  # noqa: ARG002
        # Only what was edited, since a worker may have gone on with the training since the form was read.
        values = {name: form.cleaned_data[name] for name in EDITABLE if name in form.changed_data}
        if values:
            self._is_done(request, services.edit_training, training_id=obj.pk, values=values)
        steps: tuple[Callable[..., None], ...] = (add_participants, remove_participants)
        for field, step in zip(MEMBERSHIP, steps, strict=True):
            people = [person.pk for person in form.cleaned_data.get(field, ())]
            if people:
                self._is_done(request, step, training_id=obj.pk, user_ids=people)

    def delete_model(self, request: HttpRequest, obj: Training) -> None:
        services.delete_training(training_id=obj.pk, user=operator_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Training]) -> None:
        for training_id in list(queryset.values_list("pk", flat=True)):
            services.delete_training(training_id=training_id, user=operator_of(request))

    def dependents(self, rows: list[Training]) -> Iterable[QuerySet[Any]]:
        return (
            Round.objects.filter(training__in=rows),
            Submission.objects.filter(round__training__in=rows),
            Event.objects.filter(training__in=rows),
        )

    @admin.action(permissions=["change"], description="Start the selected trainings")
    def start(self, request: HttpRequest, queryset: QuerySet[Training]) -> None:
        self._steer(request, queryset, services.start_training, "started")

    @admin.action(permissions=["change"], description="Resume the selected trainings, which have failed")
    def resume(self, request: HttpRequest, queryset: QuerySet[Training]) -> None:
        self._steer(request, queryset, services.resume_training, "resumed")

    @admin.action(permissions=["change"], description="Stop the selected trainings where they are")
    def stop(self, request: HttpRequest, queryset: QuerySet[Training]) -> None:
        self._steer(request, queryset, services.stop_training, "stopped")

    @admin.action(permissions=["change"], description="Send again what the selected trainings could not deliver")
    def retry_deliveries(self, request: HttpRequest, queryset: QuerySet[Training]) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        deliveries = Delivery.objects.filter(training__in=ids)
        number = retry_deliveries(deliveries=deliveries, user=operator_of(request))
        self.message_user(request, f"{number} notifications are sent again.", messages.SUCCESS)

    def _steer(self, request: HttpRequest, queryset: QuerySet[Training], step: Callable[..., None], done: str) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        number = sum(self._is_done(request, step, training_id=training_id) for training_id in ids)
        if number:
            self.message_user(request, f"{number} of {len(ids)} trainings {done}.", messages.SUCCESS)

    def _is_done(self, request: HttpRequest, step: Callable[..., None], **arguments: Any) -> bool:
        """Take a step in the user's name; a refusal becomes a message."""
        try:
            step(user=operator_of(request), **arguments)
        except DomainError as error:
            self.message_user(request, error.message, messages.ERROR)
            return False
        return True

    @admin.display(description="training", ordering="model_name")
    def name(self, row: TrainingRow) -> SafeString:
        return format_html("{} <small>{}</small>", row.model_name, str(row.pk)[:8])

    @admin.display(description="waits for", ordering="kind")
    def waits_for(self, row: TrainingRow) -> str:
        if row.kind is None:
            return NOTHING
        known = round_kinds.get(row.kind)
        title = known.title if known else row.kind
        return f"{title}: is being closed" if row.locked else title

    @admin.display(description="phase")
    def phase(self, row: Any) -> str:
        return row.phase_word or NOTHING

    @admin.display(description="claim")
    def claim(self, row: Any) -> str:
        return str(row.claim) if row.claim else NOTHING

    @admin.display(description="attempts")
    def claim_attempts(self, row: Any) -> int:
        return row.claim_attempts or 0

    @admin.display(description="problem")
    def problem(self, row: Any) -> str:
        return row.problem or NOTHING

    @admin.display(description="rounds")
    def rounds_closed(self, row: TrainingRow) -> str:
        closed = 0 if row.first_round is None else row.round - row.first_round
        return f"{closed} of {row.target_num_updates}"

    @admin.display(description="model's round")
    def round(self, row: TrainingRow) -> int:
        return row.round

    @admin.display(description="submissions")
    def submissions(self, row: TrainingRow) -> str:
        return f"{row.expected} registered" if row.kind is None else f"{row.arrived} of {row.expected}"

    @admin.display(description="method", ordering="aggregation_method")
    def method(self, row: TrainingRow) -> str:
        plain = row.uncertainty_method == UncertaintyMethod.NONE
        return row.aggregation_method if plain else f"{row.aggregation_method}, {row.get_uncertainty_method_display()}"

    @admin.display(description="model")
    def model_link(self, row: TrainingRow) -> SafeString | str:
        return link(GlobalModel, row.model_id, row.model_name)

    @admin.display(description="actor")
    def actor_link(self, row: Training) -> SafeString | str:
        return link(User, row.actor_id, row.actor.username)

    @admin.display(description="participants")
    def participants_panel(self, row: Training) -> SafeString | str:
        return panels.participants(row)

    @admin.display(description="what happened last")
    def history_panel(self, row: Training) -> SafeString | str:
        return panels.history(row)

    @admin.display(description="sent last")
    def deliveries_panel(self, row: Training) -> SafeString | str:
        return panels.deliveries(row)
