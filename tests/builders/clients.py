"""Clients of the API and of the admin, signed in as somebody."""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from fl_server_core.models import User
from fl_server_core.services.tokens import api_token_of
from tests.builders.rows import make_user


def token_of(user: User) -> str:
    """The user's API token."""
    return api_token_of(user)


def client_of(user: User | None = None) -> APIClient:
    """A client that sends the user's token, or nothing, and that gets a 500 where a browser would."""
    client = APIClient(raise_request_exception=False)
    if user is not None:
        # Its first use would be written down, by a statement that most requests don't need.
        user.tokens.update(last_used_at=timezone.now())
        client.credentials(HTTP_AUTHORIZATION=f"Token {token_of(user)}")
    return client


def browser_of(user: User) -> Client:
    """A client with the user's session, as the admin needs it."""
    client = Client()
    client.force_login(user)
    return client


def make_operator() -> User:
    """A superuser, `operator`."""
    return make_user("operator", is_staff=True, is_superuser=True)


def operator_browser() -> Client:
    """One in which a superuser, `operator`, is signed in."""
    return browser_of(make_operator())


def make_staff(username: str | None = None) -> User:
    """A member of the staff with every permission, but no superuser."""
    user = make_user(username, is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    return user


def staff_with(*permissions: str) -> User:
    """A member of the staff with these permissions (codenames) and no others."""
    user = make_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    return user
