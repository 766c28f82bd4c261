from __future__ import annotations

import pytest
from django.test import Client

from tests.core.admin.people import admin_client


@pytest.fixture
def operator(db: None) -> Client:
    """A client in which a superuser is signed in."""
    return admin_client()
