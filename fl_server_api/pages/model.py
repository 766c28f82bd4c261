"""The pages of one model: its versions, what is inside its file, and what it answers. In any frame, as a training's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db.models.fields.files import FieldFile
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from fl_server_api.body_limits import BodyKind, takes
from fl_server_api.pages import contents, trying
from fl_server_api.pages.model_words import kind_of, standing, version_plots
from fl_server_api.pages.training import Frame
from fl_server_api.pages.version_steps import STEPS
from fl_server_core import policies
from fl_server_core.archive import ArchiveError
from fl_server_core.exceptions import DomainError, EntityNotFound, InvalidRequest, NotAllowed
from fl_server_core.models import GlobalModel, LocalModel, MeanModel, Model, User
from fl_server_core.selectors.model_page import MAX_VERSIONS, shown_versions, uses_of, version_points
from fl_server_core.selectors.models import get_readable_model
from fl_server_core.selectors.versions import get_version

DOWNLOADS = (("torch", ""), ("safetensors", "&format=safetensors"))
"""The formats of a download: what to call each, and what to add to the address."""
MAX_NUMBER = 2**31 - 1


class ModelPages:
    """The views of a model, by the policies: whoever may read it looks and asks, others may change its versions."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def urls(self, wrap: Callable[..., Any]) -> list[URLPattern]:
        """wrap: what the frame does with each view, such as asking for a login."""
        at = "models/<uuid:model_id>/"
        views = {
            "model": ("", self.page),
            "model_curves": ("curves/", self.curves),
            "model_file": ("file/", self.file),
            "model_difference": ("difference/", self.difference),
            "model_try": ("try/", self.try_it),
        }
        return [
            *(path(at + end, wrap(_or_gone(view)), name=name) for name, (end, view) in views.items()),
            *(
                path(f"{at}versions/<int:number>/{step}/", wrap(_or_gone(self.step)), {"step": step}, f"model_{step}")
                for step in STEPS
            ),
        ]

    def page(self, request: HttpRequest, model_id: UUID) -> HttpResponse:
        """The versions and where the model is used. The curves follow."""
        user = _user(request)
        model = _readable(model_id, user)
        versions = shown_versions(model)
        context = {
            **self._context(request, model),
            "standing": standing(model, versions),
            "versions": versions,
            "uses": uses_of(model, user),
            "may_change": policies.may_change_versions(user, model, model.get_training()),
            "downloads": DOWNLOADS,
            "is_cut": len(versions) == MAX_VERSIONS,
        }
        return TemplateResponse(request, "pages/model.html", context)

    def curves(self, request: HttpRequest, model_id: UUID) -> HttpResponse:
        """Every metric by version, as plots."""
        model = _readable(model_id, _user(request))
        return JsonResponse({"plots": version_plots(version_points(model))})

    def file(self, request: HttpRequest, model_id: UUID) -> HttpResponse:
        """The tensors by layer, and the names that the file's pickle holds."""
        user = _user(request)
        model = _readable(model_id, user)
        context = {**self._context(request, model), "number": request.GET.get("version", "")}
        with _told(context):
            file = _file_of(model, _number(request, "version"))
            context["contents"] = contents.contents_of(file, user)
        return TemplateResponse(request, "pages/model_file.html", context)

    def difference(self, request: HttpRequest, model_id: UUID) -> HttpResponse:
        """Two versions side by side: their metrics, and how far each tensor moved."""
        user = _user(request)
        model = _readable(model_id, user)
        context = {**self._context(request, model), "versions": shown_versions(model)}
        with _told(context):
            first, second = _number(request, "first"), _number(request, "second")
            if first is None or second is None:
                raise InvalidRequest("Choose the two versions that are to be compared.")
            context |= _compared(model, first, second, user)
        return TemplateResponse(request, "pages/model_difference.html", context)

    @takes(BodyKind.INPUT)
    def try_it(self, request: HttpRequest, model_id: UUID) -> HttpResponse:
        """Ask the model (POST), or show the form that asks (GET)."""
        user = _user(request)
        model = _readable(model_id, user)
        context = {**self._context(request, model), "versions": shown_versions(model), "form": request.POST}
        with _told(context):
            context["methods"] = trying.methods_of(model)
            if request.method == "POST":
                context["answer"] = trying.ask(user, model, request.POST, request.FILES)
        return TemplateResponse(request, "pages/model_try.html", context)

    def step(self, request: HttpRequest, model_id: UUID, number: int, step: str) -> HttpResponse:
        """Ask whether the user is sure (GET), then do it (POST)."""
        user = _user(request)
        model, chosen = _readable(model_id, user), STEPS[step]
        if not isinstance(model, GlobalModel) or number > MAX_NUMBER:
            raise Http404("No such step.")
        if not policies.may_change_versions(user, model, model.get_training()):
            raise PermissionDenied
        back = self.frame.url("model", model_id)
        if request.method == "POST":
            _take(request, lambda: chosen.take(model_id, number, user, request.POST))
            return HttpResponseRedirect(back)
        version = model.versions.filter(number=number).first()
        context = {**self._context(request, model), "step": chosen, "version": version, "back": back, "number": number}
        return TemplateResponse(request, "pages/model_step.html", context)

    def _context(self, request: HttpRequest, model: Model) -> dict[str, Any]:
        names = ("model", "model_curves", "model_file", "model_difference", "model_try")
        return {
            **self.frame.context(request),
            "base": self.frame.base,
            "namespace": self.frame.namespace,
            "frame_training": f"{self.frame.namespace}:training",
            "frame_model": f"{self.frame.namespace}:model",
            "frame_restore": f"{self.frame.namespace}:model_restore",
            "frame_describe": f"{self.frame.namespace}:model_describe",
            "title": "",
            "model": model,
            "kind": kind_of(model),
            "has_file": not isinstance(model, MeanModel),
            "has_versions": not isinstance(model, (MeanModel, LocalModel)),
            "name": model.name if isinstance(model, GlobalModel) else f"Update by {model.owner.username}",
            **{f"{name}_url": self.frame.url(name, model.pk) for name in names},
        }


def _or_gone(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A model may be deleted between two statements of a view."""

    @wraps(view)
    def answered(request: HttpRequest, **arguments: Any) -> HttpResponse:
        try:
            return view(request, **arguments)
        except (EntityNotFound, ObjectDoesNotExist) as error:
            raise Http404("The model has just been deleted.") from error

    return answered


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _readable(model_id: UUID, user: User) -> Model:
    try:
        return get_readable_model(model_id, user)
    except EntityNotFound as error:
        raise Http404(error.message) from error
    except NotAllowed as error:
        raise PermissionDenied(error.message) from error


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return trying.version_number(text)


@contextmanager
def _told(context: dict[str, Any]) -> Iterator[None]:
    """What is refused becomes a sentence on the page."""
    try:
        yield
    except trying.REFUSALS as error:
        context["error"] = trying.sentence(error)
    except ArchiveError as error:
        context["error"] = f"The file can't be read: {error}"


def _file_of(model: Model, number: int | None) -> FieldFile:
    file = get_version(model, number).weights_file if number is not None else getattr(model, "weights_file", None)
    if not file:
        raise InvalidRequest("The model has no file of its own.")
    return cast("FieldFile", file)


def _compared(model: Model, first: int, second: int, user: User) -> dict[str, Any]:
    one, other = get_version(model, first), get_version(model, second)
    points = version_points(model, number__in=(first, second))
    means: dict[str, dict[int, float]] = {}
    for point in points:
        means.setdefault(point.key, {})[point.number] = point.mean
    metrics = [
        (key, found.get(first), found.get(second), found[second] - found[first] if len(found) == 2 else None)
        for key, found in means.items()
    ]
    difference = contents.difference_of(one.weights_file, other.weights_file, user)
    return {
        "first": one,
        "second": other,
        "metrics": metrics if first != second else [],
        "difference": difference,
        "movement": contents.movement(difference),
    }


def _take(request: HttpRequest, step: Callable[[], str]) -> None:
    try:
        messages.success(request, step())
    except DomainError as error:
        messages.error(request, error.message)
