"""The first pages of those who are signed in: what they have to do with, and what they were told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from fl_server_api.pages.navigation import Entry
from fl_server_api.pages.people import TOLD
from fl_server_api.pages.system import Figure
from fl_server_api.pages.training import Frame
from fl_server_core.models import User
from fl_server_core.selectors.overview import open_rounds
from fl_server_core.selectors.own import OwnFigures, own_figures, own_notifications, own_trainings

BASE = "pages/own.html"
ROWS = 50
HEADER = "Federated learning server"
SECTIONS = {
    "Trainings": ("pages:home", "/trainings/"),
    "Invitations": ("pages:invitations", "/invitations/"),
    "Notifications": ("pages:notifications", "/notifications/"),
    "Tokens": ("pages:tokens", "/tokens/"),
}
"""By title: the page, and how the addresses begin that belong to it."""


def own_context(request: HttpRequest) -> dict[str, Any]:
    """What every page needs."""
    return {
        "base": BASE,
        "has_permission": True,
        "sections": list(_navigation(request.path)),
        "site_header": HEADER,
        "site_title": HEADER,
        "zone": timezone.get_current_timezone_name(),
    }


FRAME = Frame(BASE, "pages", "home", own_context)


def for_users(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page for whoever is signed in; the others are sent to sign in first. Nothing of it is kept by the browser."""
    return never_cache(login_required(view))


def signed_in(request: HttpRequest) -> User:
    return cast(User, request.user)


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The trainings that the user acts in or takes part in."""
    user = signed_in(request)
    trainings = own_trainings(user)
    context = {
        **own_context(request),
        "title": "Trainings",
        "figures": list(_figures(own_figures(user))),
        "running": open_rounds(trainings=trainings),
        "page": Paginator(trainings, ROWS).get_page(request.GET.get("page")),
    }
    return TemplateResponse(request, "pages/home.html", context)


@require_safe
def notifications(request: HttpRequest) -> HttpResponse:
    """What the user was told, and what it is still to be told, with the errors on the way."""
    found = own_notifications(signed_in(request))
    page = Paginator(found, ROWS).get_page(request.GET.get("page"))
    rows = [(row, TOLD.get(row.status, row.status)) for row in page]
    context = {**own_context(request), "title": "Notifications", "page": page, "rows": rows}
    return TemplateResponse(request, "pages/notifications.html", context)


def _navigation(path: str) -> Iterator[Entry]:
    for title, (name, below) in SECTIONS.items():
        url = reverse(name)
        yield Entry(title, url, (), is_current=path == url or path.startswith(below))


def _figures(found: OwnFigures) -> Iterator[Figure]:
    yield Figure("Waiting for you", str(found.awaiting), "open rounds", *_if(found.awaiting, "busy", "awaited"))
    yield Figure("Running", str(found.running), "trainings", *_if(found.running, "busy", ""))
    yield Figure("In error", str(found.failed), "trainings", *_if(found.failed, "bad", "failed"))
    link = reverse("pages:invitations")
    yield Figure("Invitations", str(found.invitations), "to answer", link, *_if(found.invitations, "busy", "open")[1:])
    link = reverse("pages:notifications")
    yield Figure("Notifications", str(found.pending), "to be delivered or acknowledged", link)


def _if(condition: object, tone: str, word: str) -> tuple[str, str, str]:
    """A figure's url, tone and word: the lists are on the same page."""
    return ("", tone, word) if condition else ("", "", "")
