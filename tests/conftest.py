"""What every test may use."""

from collections.abc import Iterable, Iterator

import pytest
from django.db.backends.base.operations import BaseDatabaseOperations

from fl_server_core.append_only import purging
from fl_server_core.services.sign_in import successes
from fl_server_core.services.sign_in_limits import forget_refusals
from fl_server_core.services.trail_buffer import buffer


@pytest.fixture(autouse=True)
def _forget_sign_ins() -> Iterator[None]:
    """Each test has a database of its own, but what the process remembers of sign-ins would outlive it."""
    yield
    successes.clear()
    forget_refusals()
    buffer.clear()


_execute_sql_flush = BaseDatabaseOperations.execute_sql_flush


def _flush_the_trail_too(operations: BaseDatabaseOperations, sql_list: Iterable[str]) -> None:
    """After a test that commits, Django empties all tables. The trail's refuse it otherwise."""
    with purging():
        _execute_sql_flush(operations, sql_list)


BaseDatabaseOperations.execute_sql_flush = _flush_the_trail_too  # type: ignore[assignment, method-assign]
