"""The page of one training, live: for the admin, and for every other frame that has a base template and URLs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib import messages
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import parse_etags

from fl_server_api.pages import plots, words
from fl_server_api.pages.people import gone, people, seconds_until_late
from fl_server_api.pages.steps import STEPS, Step, offered
from fl_server_core import policies
from fl_server_core.exceptions import DomainError, EntityNotFound, NotAllowed
from fl_server_core.models import GlobalModel, Training, User
from fl_server_core.selectors import curves
from fl_server_core.selectors.durations import round_durations
from fl_server_core.selectors.live import Live, curves_mark, live_training, mark_now, watched_training
from fl_server_core.selectors.readers import TrainingReader
from fl_server_core.selectors.training_invitations import is_over
from fl_server_core.selectors.update_figures import FIGURES, figure_spreads, participants_figures

ASKED = ("state", "curves", "each", "rounds")
"""What the page's scripts ask for."""
CURVES_SECONDS = 3600
MOST_SMOOTHING = 0.99
WRONG_SMOOTHING = f"smoothing must be a number from 0 to {MOST_SMOOTHING}."
T = TypeVar("T")
Plots = dict[str, dict[str, Any]]
PARTS = ("state", "people", "history")
"""What a refresh replaces: each a template, and an element of the page with this id."""


@dataclass(frozen=True)
class Frame:
    """Where the pages are shown. base: the template around them. namespace: of the URLs. home: the name of the first
    page. context: of every page."""

    base: str
    namespace: str
    home: str
    context: Callable[[HttpRequest], Mapping[str, Any]]

    def url(self, name: str, *arguments: object) -> str:
        return reverse(f"{self.namespace}:{name}", args=arguments)


class TrainingPages:
    """The views of a training, by the policies: whoever may read it watches, whoever may steer it has the buttons."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def urls(self, wrap: Callable[..., Any]) -> list[URLPattern]:
        """wrap: what the frame does with each view, such as asking for a login."""
        views = {
            "": self.page, "state/": self.state, "curves/": self.curves, "curves/each/": self.each,
            "rounds/": self.rounds,
        }  # fmt: skip
        names = ("training", "training_state", "training_curves", "training_each", "training_rounds")
        found = zip(views.items(), names, strict=True)
        at = "trainings/<uuid:training_id>/"
        return [
            *(path(f"{at}{end}", wrap(view), name=name) for (end, view), name in found),
            path(f"{at}steps/<slug:step>/", wrap(self.step), name="training_step"),
        ]

    def page(self, request: HttpRequest, training_id: UUID) -> HttpResponse:
        """The page. It opens without the curves, which its script asks for."""
        training, mark = _watched(training_id, _user(request))
        seen = live_training(training, mark, _user(request))
        context = {**self.frame.context(request), **self._context(seen, _user(request)), "title": ""}
        return TemplateResponse(request, "pages/training.html", context)

    def state(self, request: HttpRequest, training_id: UUID) -> HttpResponse:
        """What has changed since the page was made; 304 if nothing has."""
        user = _user(request)
        if "If-None-Match" in request.headers:
            etag = _etag(_found(mark_now, training_id, user), user)
            if _is_known(request, etag):
                return HttpResponseNotModified(headers={"ETag": etag})
        training, mark = _watched(training_id, user)
        seen = live_training(training, mark, user)
        context = self._context(seen, user)
        parts = {part: render_to_string(f"pages/training_{part}.html", context, request) for part in PARTS}
        answer = {"parts": parts, "curves": curves_mark(training), "stale_in": seconds_until_late(seen)}
        return JsonResponse(answer, headers={"ETag": _etag(mark, user)})

    def curves(self, request: HttpRequest, training_id: UUID) -> HttpResponse:
        """The plots of all metrics; 304 if the reader has them. ?smoothing: a weight below 1."""
        user = _user(request)
        training, _ = _watched(training_id, user)
        smoothing = _smoothing(request)
        if smoothing is None:
            return JsonResponse({"detail": WRONG_SMOOTHING}, status=400)

        def made() -> Plots:
            found = curves.metric_curves(training, user)
            return {plots.plot_name(curve): plots.curve_plot(curve, training, smoothing) for curve in found}

        return _plots(request, training, f"curves {smoothing}", made)

    def rounds(self, request: HttpRequest, training_id: UUID) -> HttpResponse:
        """The plots of what the server measured: how long rounds took, and how the updates were; 304 as above."""
        user = _user(request)
        training, _ = _watched(training_id, user)

        def made() -> Plots:
            spreads = figure_spreads(training, TrainingReader(training, user))
            durations = plots.duration_plots(round_durations(training), training)
            return {**durations, **plots.figure_plots(spreads, training)}

        return _plots(request, training, "rounds", made)

    def each(self, request: HttpRequest, training_id: UUID) -> HttpResponse:
        """What one plot shows, for each participant: a metric as it was reported, or a figure as it was measured."""
        user = _user(request)
        training, _ = _watched(training_id, user)
        smoothing = _smoothing(request)
        if smoothing is None:
            return JsonResponse({"detail": WRONG_SMOOTHING}, status=400)
        source, _, key = request.GET.get("plot", "").partition(":")
        if source in (curves.TESTS, curves.UPDATES) and "\0" not in key:
            values = curves.participants_curves(training, user, source, key)
        elif source == plots.FIGURES and key in FIGURES:
            values = participants_figures(training, TrainingReader(training, user), key)
        else:
            raise Http404("No such plot.")
        return JsonResponse({"series": plots.each_plot(values, smoothing)})

    def step(self, request: HttpRequest, training_id: UUID, step: str) -> HttpResponse:
        """Ask whether the user is sure (GET), then do it (POST)."""
        user = _user(request)
        training, _ = _watched(training_id, user)
        chosen = STEPS.get(step)
        if chosen is None:
            raise Http404("No such step.")
        if not chosen.may(user, training):
            raise PermissionDenied
        back = self.frame.url("training", training_id)
        if request.method == "POST":
            _take(request, chosen, training)
            stays = policies.may_read_training(user, training)
            return HttpResponseRedirect(back if stays else self.frame.url(self.frame.home))
        context = {
            **self.frame.context(request), "base": self.frame.base, "title": chosen.title, "step": chosen, "back": back,
            "name": getattr(training, "name", ""), "training": training, "user_name": request.GET.get("user", ""),
        }  # fmt: skip
        return TemplateResponse(request, "pages/step.html", context)

    def _context(self, seen: Live, user: User) -> dict[str, Any]:
        training = seen.training
        may_steer = policies.may_steer_training(user, training)
        takes_part = any(person["id"] == user.pk for person in seen.status["participants"])
        over = is_over(training)
        steps = offered(training, is_over=over, may_steer=may_steer, takes_part=takes_part)
        return {
            "base": self.frame.base,
            "namespace": self.frame.namespace,
            "training": training,
            "name": seen.name,
            "standing": words.standing(seen),
            "people": people(seen),
            "invited": seen.status["invited"],
            "gone": gone(seen),
            "story": words.story(seen),
            "problem": seen.status["problem"],
            "steps": [(step, self.frame.url("training_step", training.pk, step.name)) for step in steps],
            "links": list(self._links(training, user, is_part=takes_part or training.actor_id == user.pk)),
            "remove_url": self.frame.url("training_step", training.pk, "remove") if may_steer and not over else "",
            "curves_mark": curves_mark(training),
            **{f"{name}_url": self.frame.url(f"training_{name}", training.pk) for name in ASKED},
        }

    def _links(self, training: Training, user: User, *, is_part: bool) -> Iterator[tuple[str, str]]:
        """Where the page leads besides: the model for whoever may read it, other trainings, the numbers."""
        if is_part or policies.permits(user, "view", GlobalModel):
            yield "Model: versions, layers, try it", self.frame.url("model", training.model_id)
        yield "Compare with other trainings", f"{self.frame.url('compare')}?id={training.pk}"
        yield "Metrics as CSV", f"{reverse('training_metrics', args=[training.pk])}?format=csv"


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _watched(training_id: UUID, user: User) -> tuple[Training, str]:
    return _found(watched_training, training_id, user)


def _found(selector: Callable[[UUID, User], T], training_id: UUID, user: User) -> T:
    try:
        return selector(training_id, user)
    except EntityNotFound as error:
        raise Http404(error.message) from error
    except NotAllowed as error:
        raise PermissionDenied(error.message) from error


def _take(request: HttpRequest, step: Step, training: Training) -> None:
    try:
        done = step.take(training.pk, _user(request), request.POST)
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, done)


def _plots(request: HttpRequest, training: Training, what: str, make: Callable[[], Plots]) -> HttpResponse:
    """Plots that are made again when there are new events, submissions or metrics, by whoever asks first."""
    etag = _etag(f"{curves_mark(training)} {what}", _user(request))
    if _is_known(request, etag):
        return HttpResponseNotModified(headers={"ETag": etag})
    key = f"plots:{training.pk}:{etag}"
    found = cache.get(key)
    if found is None:
        found = make()
        cache.set(key, found, CURVES_SECONDS)
    return JsonResponse({"plots": found}, headers={"ETag": etag})


def _smoothing(request: HttpRequest) -> float | None:
    """The weight that is asked for; 0 if none is, None if it can't be one."""
    try:
        weight = float(request.GET.get("smoothing", "0"))
    except ValueError:
        return None
    return weight if 0 <= weight <= MOST_SMOOTHING else None


def _etag(mark: str, user: User) -> str:
    """Not the mark itself: a proxy and a log need not know when things happened."""
    return f'"{sha256(f"{mark} {user.pk}".encode()).hexdigest()[:32]}"'


def _is_known(request: HttpRequest, etag: str) -> bool:
    return etag in parse_etags(request.headers.get("If-None-Match", ""))
