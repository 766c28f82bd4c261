"""The people of the core's tests. A test that needs others of these names makes them itself."""

from __future__ import annotations

import pytest

from fl_server_core.models import Training, User
from tests.builders.rows import make_running, make_user


@pytest.fixture
def actor(db: None) -> User:
    return make_user("actor")


@pytest.fixture
def owner(db: None) -> User:
    return make_user("owner")


@pytest.fixture
def anna(db: None) -> User:
    return make_user("anna")


@pytest.fixture
def ben(db: None) -> User:
    return make_user("ben")


@pytest.fixture
def people(db: None) -> list[User]:
    """Two participants."""
    return [make_user("p0"), make_user("p1")]


@pytest.fixture
def running(anna: User, ben: User) -> Training:
    """Anna's training, in which Ben and Cleo take part."""
    return make_running(anna, [ben, make_user("cleo")], name="digits")
