"""The form on a training's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.core.exceptions import ValidationError
from django.db.models import Q

from fl_server_api.admin.fields import SafeJSONField, json_box
from fl_server_api.serializers.metric import NAME_LENGTH as METRIC_NAME_LENGTH
from fl_server_core.models import Training, User
from fl_server_core.options import validate_options
from fl_server_core.selectors.training_invitations import open_invitations

EDITABLE = ("target_num_updates", "options", "metric_names")
MEMBERSHIP = ("add_participants", "remove_participants")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


class UserPicker(AutocompleteSelectMultiple):
    def optgroups(self, name: str, value: Sequence[str], attr: dict[str, Any] | None = None) -> Any:
        # A refused form shows what was sent. Django asks the database for it, which accepts only ids.
        return super().optgroups(name, [key for key in value if _is_uuid(key)], attr)


class TrainingForm(forms.ModelForm[Training]):
    target_num_updates = forms.IntegerField(
        min_value=1,
        max_value=2**31 - 1,
        label="Rounds to train",
        help_text="Number of rounds, counted from the start. A running training ends with the round that reaches it.",
    )
    options = SafeJSONField(
        required=False,
        help_text="Known keys are checked, others are kept. A new round_deadline applies from the next round.",
    )
    metric_names = SafeJSONField(required=False, widget=json_box(2), help_text="A list of names. Information only.")
    add_participants = forms.ModelMultipleChoiceField(
        User.objects.all(),
        required=False,
        widget=UserPicker(cast(Any, Training._meta.get_field("participants")), admin.site),
        help_text="They are notified of a running training and of its open round. Where the server asks for consent, "
        "they are invited, unless they trust the actor.",
    )
    remove_participants = forms.ModelMultipleChoiceField(
        User.objects.none(),
        required=False,
        help_text="They are notified, and their submissions to the open round are discarded. Who is only invited: the "
        "invitation is withdrawn.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        leaving = self.fields.get("remove_participants")
        if isinstance(leaving, forms.ModelMultipleChoiceField):
            invited = open_invitations(self.instance).values("user")
            present = self.instance.participants.values("pk")
            leaving.queryset = User.objects.filter(Q(pk__in=present) | Q(pk__in=invited)).order_by("username")

    def clean_options(self) -> dict[str, Any]:
        options = self.cleaned_data["options"]
        if options is None:
            return {}
        if not isinstance(options, dict):
            raise ValidationError("Enter a JSON object.")
        training = self.instance
        known = validate_options(options, training.aggregation_method, training.uncertainty_method)
        if known.daisy_chain_period != training.daisy_chain_period:
            raise ValidationError("daisy_chain_period can't be changed: it determines the number of rounds.")
        return options

    def clean_metric_names(self) -> list[str]:
        names = self.cleaned_data["metric_names"]
        if names is None:
            return []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValidationError("Enter a list of names.")
        if any(len(name) > METRIC_NAME_LENGTH for name in names):
            raise ValidationError(f"A name has at most {METRIC_NAME_LENGTH} characters.")
        return names
