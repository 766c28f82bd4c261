"""Trainings side by side. The address holds their ids, so that a link shows the same again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from fl_server_api.pages.compared import differing_options, headlines, lines_of, means_plots
from fl_server_api.pages.training import Frame
from fl_server_core.models import User
from fl_server_core.selectors.comparison import (
    ComparedTraining,
    MetricMeans,
    compared_trainings,
    last_metrics,
    metric_means,
    offered_trainings,
)

MAX_COMPARED = 50
KEPT_SECONDS = 600


class ComparisonPages:
    """The page that compares trainings, and the numbers of its plots. It shows what the user may read, by the
    policies."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def urls(self, wrap: Callable[..., Any]) -> list[URLPattern]:
        at = "trainings/compare/"
        return [
            path(at, wrap(self.page), name="compare"),
            path(f"{at}curves/", wrap(self.curves), name="compare_curves"),
        ]

    def page(self, request: HttpRequest) -> HttpResponse:
        """Figures, best rounds and differing options of `?id=…&id=…`; without ids, a list to choose from."""
        user = cast(User, request.user)
        asked = _asked(request)
        trainings = _found(asked, user)
        means = _means(trainings, user)
        names = _names(trainings)
        query = "&".join(f"id={training.row.pk}" for training in trainings)
        chosen = {training.row.pk for training in trainings}
        context = {
            **self.frame.context(request),
            "base": self.frame.base,
            "title": "",
            "frame_training": f"{self.frame.namespace}:training",
            "lines": lines_of(trainings, names, means),
            "headlines": headlines(names, means),
            "options": differing_options(trainings),
            "names": [names[training.row.pk] for training in trainings],
            "missing": len(asked) - len(trainings) if len(asked) <= MAX_COMPARED else 0,
            "asked": len(asked),
            "most": MAX_COMPARED,
            "curves_url": f"{self.frame.url('compare_curves')}?{query}",
            "page_url": self.frame.url("compare"),
            "offered": [(row, row.pk in chosen) for row in offered_trainings(user)],
        }
        return TemplateResponse(request, "pages/comparison.html", context)

    def curves(self, request: HttpRequest) -> HttpResponse:
        """One plot for each metric, with one line for each training."""
        user = cast(User, request.user)
        trainings = _found(_asked(request), user)
        return JsonResponse({"plots": means_plots(_names(trainings), _means(trainings, user))})


def _asked(request: HttpRequest) -> list[UUID | None]:
    """None for what is no id."""
    return [_id(text) for text in dict.fromkeys(request.GET.getlist("id"))]


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _found(asked: Sequence[UUID | None], user: User) -> list[ComparedTraining]:
    ids = [one for one in asked if one is not None][:MAX_COMPARED]
    found = compared_trainings(ids, user) if ids else []
    if ids and not found:
        raise PermissionDenied
    return found


def _names(trainings: Sequence[ComparedTraining]) -> dict[UUID, str]:
    """What each is called here: its name, and the beginning of its id where several have the same."""
    often = Counter(training.name for training in trainings)
    return {
        training.row.pk: training.name
        if training.name and often[training.name] == 1
        else f"{training.name} {str(training.row.pk)[:8]}".strip()
        for training in trainings
    }


def _means(trainings: Sequence[ComparedTraining], user: User) -> Mapping[UUID, MetricMeans]:
    """Added up once, until there are new metrics: the page and its plots show the same."""
    if not trainings:
        return {}
    ids = [str(training.row.pk) for training in trainings]
    mark = sha256(f"{user.pk} {ids} {last_metrics(trainings)}".encode()).hexdigest()
    found: Mapping[UUID, MetricMeans] | None = cache.get(f"compared:{mark}")
    if found is None:
        found = metric_means(trainings, user)
        cache.set(f"compared:{mark}", found, KEPT_SECONDS)
    return found
