"""Links and small tables on the pages of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Model
from django.db.models.fields.files import FieldFile
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from fl_server_api.admin.base import change_url

NOTHING = "–"


def link(model: type[Model], key: object, text: object) -> SafeString | str:
    """A link to the page of a row; a dash where there is none."""
    return NOTHING if key is None else format_html('<a href="{}">{}</a>', change_url(model, key), text)


def list_link(model: type[Model], text: str, **filters: Any) -> SafeString:
    """A link to the list of a kind's rows, filtered."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', url, urlencode(filters), text)


def moment(when: datetime | None) -> SafeString | str:
    """A time in the server's time zone, to the second: what happened in one minute must be told apart."""
    if when is None:
        return NOTHING
    local = timezone.localtime(when)
    day, time = date_format(local, "Y-m-d"), date_format(local, "H:i:s")
    # A narrow column breaks between the two, not at the hyphens.
    return format_html('<span style="white-space: nowrap">{}</span> {}', day, time)


def time_of(field: str, description: str) -> Callable[[object, Model], SafeString | str]:
    """A column, or a line of a page, for a time of the row."""

    @admin.display(description=description, ordering=field)
    def show(_page: object, row: Model) -> SafeString | str:
        return moment(getattr(row, field))

    return show


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, more: str = "") -> SafeString | str:
    """A table of texts (escaped) and links, with a line under it; a dash where there are no rows."""
    lines = [format_html("<tr>{}</tr>", format_html_join("", "<td>{}</td>", ([cell] for cell in row))) for row in rows]
    if not lines:
        return NOTHING
    head = format_html_join("", "<th>{}</th>", ([heading] for heading in headings))
    body = format_html_join("", "{}", ([line] for line in lines))
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}", head, body, more)


def file_size(file: FieldFile | None) -> str:
    """How large a row's file is, and under which name it is stored."""
    if not file:
        return NOTHING
    try:
        return f"{filesizeformat(file.size)}, {file.name}"
    except OSError as error:
        return f"{file.name} cannot be read: {type(error).__name__}"
