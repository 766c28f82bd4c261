"""What a test asks of the trail."""

from __future__ import annotations

import base64
from typing import Any

from rest_framework.test import APIClient

from fl_server_core.models import AuditEntry
from tests.builders.files import scripted_linear, uploaded

PASSWORD = "correct horse battery staple"
WHO = ("account_name", "credential", "verb", "object_kind", "outcome", "status")


def trail(*fields: str, **filters: Any) -> list[Any]:
    """These fields of the entries of requests, in the order of their writing; not of what a fixture did."""
    rows = AuditEntry.objects.filter(**filters).order_by("pk")
    told = rows if "credential" in filters else rows.exclude(credential="server")
    return list(told.values_list(*fields, flat=len(fields) == 1))


def basic(name: str, password: str) -> APIClient:
    client = APIClient(raise_request_exception=False)
    both = base64.b64encode(f"{name}:{password}".encode()).decode()
    client.credentials(HTTP_AUTHORIZATION=f"Basic {both}")
    return client


def update(number: int = 0) -> dict[str, Any]:
    return {"round": number, "sample_size": 1, "model_file": uploaded(scripted_linear(2.0))}
