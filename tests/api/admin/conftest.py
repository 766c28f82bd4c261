from __future__ import annotations

import pytest

from fl_server_core.models import User
from tests.builders.rows import make_user


@pytest.fixture
def actor(db: None) -> User:
    return make_user("actor")


@pytest.fixture
def anna(db: None) -> User:
    return make_user("anna")


@pytest.fixture
def ben(db: None) -> User:
    return make_user("ben")
