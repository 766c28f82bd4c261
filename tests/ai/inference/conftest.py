from __future__ import annotations

from collections.abc import Iterator

import pytest

from fl_server_ai.inference.server_sandbox import close_sandbox
from fl_server_core.models import User
from tests.builders.rows import make_user


@pytest.fixture(scope="module")
def no_process_is_left() -> Iterator[None]:
    """For tests that ask the server's own sandbox."""
    yield
    close_sandbox()


@pytest.fixture
def owner(db: None) -> User:
    return make_user("owner")
