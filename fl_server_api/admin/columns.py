"""Columns that several lists share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypedDict

from django.contrib import admin
from django.db.models import F, Model, QuerySet
from django.utils.html import format_html
from django.utils.safestring import SafeString

from fl_server_api.admin.html import figures_list, link, list_link, readable_figure
from fl_server_api.pages.html import NOTHING, moment, short_id
from fl_server_core.models import AuditEntry, Training
from fl_server_core.registry import round_kinds

OF_TRAINING = "training__model__globalmodel__name"
OF_ROUND = "round__training__model__globalmodel__name"


class TrainingName(TypedDict):
    training_name: str | None


def with_training(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Rows of a training with the name of its model."""
    named: QuerySet[Any] = rows.annotate(training_name=F(OF_TRAINING))
    return named


class TrainingColumn:
    """The training of a row, by the name of its model."""

    @admin.display(description="training", ordering="training_name")
    def training_link(self, row: Any) -> SafeString | str:
        return link(Training, row.training_id, row.training_name)


class TrailField:
    """A link to what the trail says about a row."""

    @admin.display(description="trail")
    def trail_link(self, row: Model) -> SafeString:
        return list_link(AuditEntry, "who did what", q=row.pk)


class FiguresField:
    """The figures of a row, one a line."""

    @admin.display(description="figures")
    def figures_text(self, row: Any) -> SafeString | str:
        return figures_list(row.figures)


def figure_of(name: str, description: str = "") -> Callable[[object, Any], str]:
    """A column for one of a row's figures, if it has it."""

    @admin.display(description=description or name)
    def show(_page: object, row: Any) -> str:
        figures = row.figures if isinstance(row.figures, Mapping) else {}
        return readable_figure(figures[name]) if name in figures else NOTHING

    return show


def time_of(field: str, description: str) -> Callable[[object, Model], SafeString | str]:
    """A column, or a line of a page, for a time of the row."""

    @admin.display(description=description, ordering=field)
    def show(_page: object, row: Model) -> SafeString | str:
        when: datetime | None = getattr(row, field)
        return moment(when)

    show.shows_field = field  # type: ignore[attr-defined]  # for those who want the time itself
    return show


def kind_title(name: str) -> str:
    """What a kind of round is called; its name if no installed package defines it."""
    known = round_kinds.get(name)
    return known.title if known else name


def named(name: str, key: object) -> SafeString:
    """A row's name with the beginning of its id."""
    return format_html("{} {}", name or NOTHING, short_id(key))
