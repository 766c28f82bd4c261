"""Alert rules, and what they have told."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from fl_server_api.admin.base import SafeAdmin, ViewOnlyAdmin, operator_of
from fl_server_api.admin.columns import OF_TRAINING, TrainingColumn, time_of, with_training
from fl_server_api.admin.html import link, list_link
from fl_server_api.pages.html import NOTHING
from fl_server_core.models import Alert, AlertRule
from fl_server_core.services import alert_rules

CHOSEN = ("condition", "minutes", "trainings", "training", "channel", "url", "period_minutes", "active")


class AlertRuleForm(forms.ModelForm[AlertRule]):
    class Meta:
        model = AlertRule
        fields = CHOSEN
        labels: ClassVar[dict[str, str]] = {"url": "URL", "period_minutes": "Minutes between messages"}
        help_texts: ClassVar[dict[str, str]] = {
            "minutes": "For “a round waits too long”: how many minutes a round may wait.",
            "trainings": "“The user” is whose rule this is.",
            "training": "For “one”: the training.",
            "url": "For a webhook: where its messages are sent. An e-mail goes to the user's address.",
        }


@admin.register(AlertRule)
class AlertRuleAdmin(SafeAdmin[AlertRule]):
    """A rule that is added here is the operator's own. Those of others can be changed and deleted."""

    form = AlertRuleForm
    raw_id_fields = ("training",)
    created = time_of("created_at", "created")
    told = time_of("last_message_at", "last message")
    due = time_of("next_message_at", "next message not before")
    list_display = ("condition", "minutes", "trainings", "user", "channel", "is_active", "told", "failures", "error")
    list_select_related = ("user",)
    list_filter = ("condition", "channel", "active", "created_at")
    csv_fields = ("training_id", "url", "period_minutes", "last_error")
    search_fields = ("user__username", "url", "last_error")
    search_help_text = "User, URL, error or the beginning of an id"
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    readonly_fields = ("user", "created", "told", "due", "failures", "last_error", "alerts_link")

    def get_fields(self, request: HttpRequest, obj: AlertRule | None = None) -> Any:  # noqa: ARG002
        return CHOSEN if obj is None else ("user", *CHOSEN, *self.readonly_fields[1:])

    @admin.display(description="active", ordering="active")
    def is_active(self, row: AlertRule) -> str:
        return "yes" if row.active else "no"

    @admin.display(description="error", ordering="last_error")
    def error(self, row: AlertRule) -> str:
        return row.last_error[:80] or NOTHING

    @admin.display(description="alerts")
    def alerts_link(self, row: AlertRule) -> SafeString:
        return list_link(Alert, "Show what it was about", rule__id__exact=row.pk)

    def save_model(self, request: HttpRequest, obj: AlertRule, form: Any, change: bool) -> None:
        names = form.changed_data if change else CHOSEN
        values = {name: form.cleaned_data[name] for name in CHOSEN if name in names}
        if "training" in values:
            training = values.pop("training")
            values["training_id"] = None if training is None else training.pk
        if change:
            alert_rules.edit_alert_rule(rule_id=obj.pk, author=operator_of(request), **values)
        else:
            obj.pk = alert_rules.create_alert_rule(user=operator_of(request), **values).pk

    def delete_model(self, request: HttpRequest, obj: AlertRule) -> None:
        alert_rules.delete_alert_rule(rule_id=obj.pk, author=operator_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        for rule in list(queryset):
            self.delete_model(request, rule)

    def dependents(self, rows: list[AlertRule]) -> list[QuerySet[Any]]:
        return [Alert.objects.filter(rule__in=rows)]


@admin.register(Alert)
class AlertAdmin(TrainingColumn, ViewOnlyAdmin[Alert]):
    created = time_of("created_at", "time")
    sent = time_of("sent_at", "sent")
    list_display = ("created", "text", "training_link", "rule_link", "sent")
    list_select_related = ("rule__user",)
    list_filter = (("sent_at", admin.EmptyFieldListFilter), "created_at")
    csv_fields = ("training_id", "rule_id", "event_id", "round_id")
    search_fields = ("text", "rule__user__username", OF_TRAINING)
    search_help_text = "Text, user, training or the beginning of the id of a training or a rule"
    uuid_search_fields = ("training__id", "rule__id")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = readonly_fields = ("created", "text", "training_link", "rule_link", "sent")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        return with_training(super().get_queryset(request))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "rule__id__exact" or super().lookup_allowed(lookup, value, request)

    @admin.display(description="rule of", ordering="rule__user__username")
    def rule_link(self, row: Alert) -> SafeString | str:
        return link(AlertRule, row.rule_id, row.rule.user)
