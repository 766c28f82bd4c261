from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

from fl_server_core.validators import validate_json


def json_box(rows: int) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, "cols": 60, "class": "vLargeTextField", "spellcheck": "false"})


class SafeJSONField(forms.JSONField):
    """JSON that both databases can store, shown indented. Refused input is shown as it was typed.

    Django's field ends in an error page for deep nesting and very long numbers, and shows the parsed value, which may
    contain characters that can't be encoded.
    """

    widget = json_box(8)

    def to_python(self, value: Any) -> Any:
        try:
            content = super().to_python(value)
        except (ValueError, RecursionError):
            raise ValidationError("Enter valid JSON without deep nesting or very long numbers.") from None
        validate_json(content)
        return content

    def bound_data(self, data: Any, initial: Any) -> Any:
        if self.disabled:
            return initial
        return None if data is None else InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, indent=2, ensure_ascii=False, cls=self.encoder)
