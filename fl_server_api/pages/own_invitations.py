"""Invitations to trainings: a user's answers, and whose trainings it takes part in unasked."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from fl_server_api.pages.own import ROWS, own_context, signed_in
from fl_server_core.exceptions import DomainError, InvalidRequest
from fl_server_core.models import User
from fl_server_core.selectors.training_invitations import EVERYONE, invitations_of_user
from fl_server_core.services.participants import accept_invitation
from fl_server_core.services.training_invitations import decline_invitation
from fl_server_core.services.trust import set_trusted_actors

ANSWERS: dict[str, tuple[Callable[..., None], str]] = {
    "accept": (accept_invitation, "You take part."),
    "decline": (decline_invitation, "You have declined. The actor may invite you again."),
}
MOST_NAMES = 1000


@require_safe
def invitations(request: HttpRequest) -> HttpResponse:
    """What the user can still accept, and whom it trusts."""
    user = signed_in(request)
    found = invitations_of_user(user).select_related("training__actor", "invited_by", "training__model")
    page = Paginator(found.order_by("-pk"), ROWS).get_page(request.GET.get("page"))
    context = {
        **own_context(request),
        "title": "Invitations",
        "page": page,
        "trusted": user.trusted_actors.order_by("username"),
    }
    return TemplateResponse(request, "pages/invitations.html", context)


@require_POST
def answer(request: HttpRequest, training_id: UUID, answer: str) -> HttpResponse:
    """Accept or decline."""
    if answer not in ANSWERS:
        raise Http404("No such answer.")
    service, told = ANSWERS[answer]
    return _take(request, lambda: service(training_id=training_id, user=signed_in(request)), told)


@require_POST
def trust(request: HttpRequest) -> HttpResponse:
    """Say whose trainings the user takes part in without being asked."""

    def change() -> None:
        actors = EVERYONE if "everyone" in request.POST else [one.pk for one in _named(request.POST.get("actors", ""))]
        set_trusted_actors(user=signed_in(request), actors=actors)

    return _take(request, change, "Saved. It counts for invitations from now on.")


def _named(text: str) -> list[User]:
    """The users of these names, one a line.

    Raises:
        InvalidRequest: there is no user of one of them.
    """
    names = list(dict.fromkeys(name.strip() for name in text.replace("\0", "").splitlines() if name.strip()))
    if len(names) > MOST_NAMES:
        raise InvalidRequest(f"Name at most {MOST_NAMES} actors, or trust everyone.")
    users = {user.username: user for user in User.objects.filter(username__in=names)}
    unknown = [name for name in names if name not in users]
    if unknown:
        raise InvalidRequest(f"There is no user {unknown[0]!r}. Enter one user name a line.")
    return [users[name] for name in names]


def _take(request: HttpRequest, change: Callable[[], None], told: str) -> HttpResponse:
    try:
        change()
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, told)
    return HttpResponseRedirect(reverse("pages:invitations"))
