"""What every test may use."""

from collections.abc import Iterator

import pytest

from fl_server_core.services.sign_in import successes
from fl_server_core.services.sign_in_limits import forget_refusals


@pytest.fixture(autouse=True)
def _forget_sign_ins() -> Iterator[None]:
    """Each test has a database of its own, but what the process remembers of sign-ins would outlive it."""
    yield
    successes.clear()
    forget_refusals()
