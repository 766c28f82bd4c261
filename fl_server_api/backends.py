"""How Django's own forms sign people in: the admin's, and that of the browsable pages."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from fl_server_api.client_address import client_address
from fl_server_core.models import User
from fl_server_core.services.sign_in import sign_in


class PasswordBackend(ModelBackend):
    """Django's, with the limits and the one hash that the API has."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Raises TooManyFailures, which `UnavailableMiddleware` answers with a 429."""
        username = kwargs.get(User.USERNAME_FIELD) if username is None else username
        if username is None or password is None:
            return None
        address = client_address(request.META) if request is not None else ""
        return sign_in(username=username, password=password, address=address)
