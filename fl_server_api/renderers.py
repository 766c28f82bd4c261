from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from rest_framework import renderers


class JSONRenderer(renderers.JSONRenderer):
    """JSON in which a number that is not finite is null, and a lone surrogate (echoed from a request) is escaped."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        context = dict(renderer_context or {})
        try:
            return bytes(super().render(data, accepted_media_type, context))
        except UnicodeEncodeError:
            return json.dumps(without_infinities(data), cls=self.encoder_class).encode()
        except ValueError:
            return self.render(without_infinities(data), accepted_media_type, context)


class JSONLinesRenderer(renderers.BaseRenderer):
    """Stands for JSON lines in negotiation; the view writes them."""

    media_type = "application/jsonl"
    format = "jsonl"


class CSVRenderer(renderers.BaseRenderer):
    """Stands for CSV in negotiation; the view writes it."""

    media_type = "text/csv"
    format = "csv"


def without_infinities(value: Any) -> Any:
    """The same value with None in the place of each float that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: without_infinities(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_infinities(item) for item in value]
    return value
