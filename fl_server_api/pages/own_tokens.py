"""A user's tokens: made, shown once, ended."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from fl_server_api.pages.own import BASE, own_context, signed_in
from fl_server_core.exceptions import DomainError, EntityNotFound
from fl_server_core.models import Scope
from fl_server_core.selectors.tokens import get_token_of, tokens_of
from fl_server_core.services.tokens import end_token, make_token

DAYS = {"": "never", "7": "after 7 days", "30": "after 30 days", "90": "after 90 days", "365": "after a year"}
END = {
    "title": "End",
    "tone": "bad",
    "question": "Programs that use the token can no longer sign in. It can't be undone.",
}
RENEW = {**END, "question": "It is the API token: another one takes its place, which the API shows. The old one ends."}


class TokenForm(forms.Form):
    """expires: in how many days; empty: never."""

    name = forms.CharField(max_length=100, help_text="What uses it, for example “laptop” or “nightly job”.")
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, initial=[Scope.READ, Scope.WRITE], widget=forms.CheckboxSelectMultiple
    )
    expires = forms.ChoiceField(choices=list(DAYS.items()), required=False, label="Ends")


@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """The tokens; POST makes one, and the answer shows its key this once."""
    form = TokenForm(request.POST or None)
    key = _make(request, form) if request.method == "POST" and form.is_valid() else ""
    context = {
        **own_context(request),
        "title": "Tokens",
        "tokens": tokens_of(signed_in(request)),
        "form": TokenForm() if key else form,
        "key": key,
        "name": form.cleaned_data["name"] if key else "",
    }
    return TemplateResponse(request, "pages/tokens.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def end(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Ask whether the user is sure (GET), then do it (POST)."""
    user = signed_in(request)
    try:
        token = get_token_of(user, token_id)
        if request.method == "POST":
            end_token(token_id=token_id, user=user, author=user)
            messages.success(request, f"The token “{token.name}” has ended.")
            return HttpResponseRedirect(reverse("pages:tokens"))
    except EntityNotFound as error:
        raise Http404(error.message) from error
    context = {
        **own_context(request),
        "base": BASE,
        "title": END["title"],
        "name": token.name,
        "step": RENEW if token.is_api_token else END,
        "back": reverse("pages:tokens"),
    }
    return TemplateResponse(request, "pages/step.html", context)


def _make(request: HttpRequest, form: TokenForm) -> str:
    """The key of a new token; empty if it was refused."""
    wanted = form.cleaned_data
    ends = timezone.now() + timedelta(days=int(wanted["expires"])) if wanted["expires"] else None
    user = signed_in(request)
    try:
        _, key = make_token(user=user, author=user, name=wanted["name"], scopes=wanted["scopes"], expires_at=ends)
    except DomainError as error:
        form.add_error(None, error.message)
        return ""
    return key
