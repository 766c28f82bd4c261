"""The metrics of a training as JSON, JSON lines or CSV."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import IO, Any
from uuid import UUID

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from fl_server_api.csv_table import CSV, attachment, write_csv
from fl_server_api.listing import listed
from fl_server_api.renderers import JSONLinesRenderer, JSONRenderer
from fl_server_api.spooling import spooled

Figures = QuerySet[Any, dict[str, Any]]
COLUMNS = (
    "id", "step", "version", "key", "value", "reporter", "reporter_name", "model", "is_update", "is_test",
    "binary_size", "created_at",
)  # fmt: skip
PIECE = 1000
"""Rows that are read at a time."""


def represent(row: dict[str, Any]) -> dict[str, Any]:
    """One metric as it is told, in every format. value: a float; None where it is not a number."""
    special = row["value_special"]
    values = {
        "version": row["version_number"],
        "value": float(special) if special else row["value_float"],
        "reporter": None if row["reporter_id"] is None else str(row["reporter_id"]),
        "model": str(row["model_id"]),
        "created_at": row["created_at"].astimezone(UTC).isoformat(),
    }
    return {name: values[name] if name in values else row[name] for name in COLUMNS}


def json_answer(request: Request, rows: Figures, _training_id: UUID) -> HttpResponseBase:
    """A list, whole or a page of it."""
    return listed(request, rows, _all)


def _all(rows: Sequence[Any]) -> list[Any]:
    return [represent(row) for row in rows]


def json_lines_answer(_request: Request, rows: Figures, training_id: UUID) -> HttpResponseBase:
    """A JSON object a line."""
    headers = attachment(f"metrics-{training_id}.jsonl")
    return spooled(lambda body: _write_lines(body, rows), JSONLinesRenderer.media_type, headers)


def _write_lines(body: IO[bytes], rows: Figures) -> None:
    renderer = JSONRenderer()
    for row in rows.iterator(chunk_size=PIECE):
        body.write(renderer.render(represent(row)) + b"\n")


def csv_answer(_request: Request, rows: Figures, training_id: UUID) -> HttpResponseBase:
    """A table with the columns COLUMNS."""
    lines = (represent(row).values() for row in rows.iterator(chunk_size=PIECE))
    headers = attachment(f"metrics-{training_id}.csv")
    return spooled(lambda body: write_csv(body, COLUMNS, map(list, lines)), CSV, headers)
