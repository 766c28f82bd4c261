"""Columns that several lists share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypedDict

from django.contrib import admin
from django.db.models import F, Model, QuerySet
from django.utils.html import format_html
from django.utils.safestring import SafeString

from fl_server_api.admin.base import NOTHING
from fl_server_api.admin.html import figures_list, link, moment
from fl_server_core.models import Training
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


class FiguresField:
    """The figures of a row, one a line."""

    @admin.display(description="figures")
    def figures_text(self, row: Any) -> SafeString | str:
        return figures_list(row.figures)


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
    return format_html("{} <small>{}</small>", name or NOTHING, str(key)[:8])
