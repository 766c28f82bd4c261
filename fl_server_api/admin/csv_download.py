"""“Download as CSV” on every list: all rows that the list's filters leave, or those that are selected."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.html import strip_tags
from django.utils.safestring import SafeString

from fl_server_api.csv_table import CSV, attachment, write_csv
from fl_server_api.spooling import spooled

ACTION = "download_csv"
PIECE = 500
"""Rows that are read at a time."""


@admin.action(permissions=["view"], description="Download as CSV")
def download_csv(page: ModelAdmin[Any], request: HttpRequest, rows: QuerySet[Any]) -> HttpResponseBase:
    """The rows as a table: their keys, the list's columns, and what the page adds in `csv_fields`.

    A column that shows a field has its whole value: times in UTC, numbers with all digits, texts that aren't cut off.
    """
    columns = _columns(page, request)
    lines = ([_value(page, row, name) for name in columns.values()] for row in rows.iterator(chunk_size=PIECE))
    filename = f"{page.opts.verbose_name_plural}.csv".replace(" ", "-")
    return spooled(lambda body: write_csv(body, list(columns), lines), CSV, attachment(filename))


def _columns(page: ModelAdmin[Any], request: HttpRequest) -> dict[str, str]:
    """Names of what is shown, by their headings. A field of `csv_fields` replaces the column that shortens it."""
    listed = [name for name in page.get_list_display(request) if isinstance(name, str) and name != "action_checkbox"]
    columns = {"id": "pk"}
    columns |= {str(label_for_field(name, page.model, page)).replace(" ", "_"): name for name in listed}
    fields: Sequence[str] = getattr(page, "csv_fields", ())
    return columns | {name: name for name in fields}


def _value(page: ModelAdmin[Any], row: Model, name: str) -> object:
    if name == "pk" or name in getattr(page, "csv_fields", ()):
        return getattr(row, name)
    try:
        field, attribute, value = lookup_field(name, row, page)
    except ObjectDoesNotExist:
        return None
    if isinstance(field, Field):
        return dict(field.flatchoices).get(value, value) if field.flatchoices else value
    shown_field = getattr(attribute, "shows_field", None)
    if shown_field is not None:
        return getattr(row, shown_field)
    if isinstance(value, SafeString):
        value = html.unescape(strip_tags(value))
    return None if value == page.get_empty_value_display() else value
