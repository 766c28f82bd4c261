"""Where the pages are, and what they say."""

from __future__ import annotations

from typing import Any

from django.test import Client

from fl_server_core.models import Training


def training_at(training: Training, end: str = "") -> str:
    return f"/admin/trainings/{training.pk}/{end}"


def model_at(model: Any, end: str = "") -> str:
    return f"/admin/models/{model.pk}/{end}"


def page_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())
