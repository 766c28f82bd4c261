"""Links and small tables on the pages of rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model
from django.db.models.fields.files import FieldFile
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from fl_server_api.admin.base import change_url
from fl_server_api.pages.html import NOTHING

LARGEST_COUNT = 2**63
"""A whole number above it was a float: PostgreSQL writes 1e30 in JSON with all of its digits."""


def link(model: type[Model], key: object, text: object) -> SafeString | str:
    """A link to the page of a row; a dash if there is no row."""
    return NOTHING if key is None else format_html('<a href="{}">{}</a>', change_url(model, key), text)


def list_link(model: type[Model], text: str, **filters: Any) -> SafeString:
    """A link to the filtered list of a kind's rows."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', url, urlencode(filters), text)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, more: str = "") -> SafeString | str:
    """A table of texts (escaped) and links, with a line under it; a dash if there are no rows."""
    lines = [format_html("<tr>{}</tr>", format_html_join("", "<td>{}</td>", ([cell] for cell in row))) for row in rows]
    if not lines:
        return NOTHING
    head = format_html_join("", "<th>{}</th>", ([heading] for heading in headings))
    body = format_html_join("", "{}", ([line] for line in lines))
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}", head, body, more)


def figures_line(figures: object) -> str:
    """Figures in one line: `updates 3, seconds 0.25`; a dash if there are none."""
    return ", ".join(f"{name} {value}" for name, value in _readable(figures)) or NOTHING


def figures_list(figures: object) -> SafeString | str:
    """Figures one below the other; a dash if there are none."""
    return format_html_join("", "<div>{}: {}</div>", _readable(figures)) or NOTHING


def _readable(figures: object) -> list[tuple[str, str]]:
    values = figures if isinstance(figures, Mapping) else {"": figures} if figures else {}
    return [(str(name).replace("_", " "), readable_figure(value)) for name, value in values.items()]


def readable_figure(value: object) -> str:
    """A figure as a text, numbers with six digits."""
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > LARGEST_COUNT):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def file_size(file: FieldFile | None) -> str:
    """A file's size and its name in the storage."""
    if not file:
        return NOTHING
    try:
        return f"{filesizeformat(file.size)}, {file.name}"
    except OSError as error:
        return f"{file.name} cannot be read: {type(error).__name__}"


def counted(number: int, selected: int, word: str) -> str:
    """How many of the selected rows: "1 version" if it was the only one, otherwise "2 of 3 versions"."""
    return f"1 {word}" if number == selected == 1 else f"{number} of {selected} {word}s"
