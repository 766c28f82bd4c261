from __future__ import annotations

import pytest
from django.test import Client

from fl_server_core.models import User
from tests.core.admin.people import admin_client, make_user


@pytest.fixture
def operator(db: None) -> Client:
    """A client in which a superuser is signed in."""
    return admin_client()


@pytest.fixture
def actor(db: None) -> User:
    return make_user("actor")


@pytest.fixture
def anna(db: None) -> User:
    return make_user("anna")


@pytest.fixture
def ben(db: None) -> User:
    return make_user("ben")
