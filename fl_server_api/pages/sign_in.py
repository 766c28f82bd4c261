"""How people sign in and out, by Django's own views."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from fl_server_api.pages.own import HEADER
from fl_server_core.exceptions import TooManyFailures


class SignInView(LoginView):
    """A name and a password, or the provider's page. The backends count who guesses: docs/accounts.md."""

    template_name = "pages/sign_in.html"
    redirect_authenticated_user = True

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        context = super().get_context_data(**more)
        is_open = settings.FL_REGISTRATION == "open"
        return {**context, "title": "Sign in", "site_header": HEADER, "site_title": HEADER, "may_register": is_open}

    def post(self, request: HttpRequest, *args: str, **kwargs: Any) -> HttpResponse:
        try:
            return super().post(request, *args, **kwargs)
        except TooManyFailures as refusal:
            form = self.get_form_class()(request)
            context = self.get_context_data(form=form, refusal=str(refusal))
            headers = {"Retry-After": str(refusal.retry_after)}
            return self.response_class(
                request, self.get_template_names(), context, status=429, headers=headers, using=self.template_engine
            )


class SignOutView(LogoutView):
    """By POST only."""

    def get_default_redirect_url(self) -> str:
        return reverse("pages:sign_in")
