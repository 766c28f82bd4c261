"""What every test may use, and which tests run in the second pass."""

import os
from collections.abc import Iterable, Iterator

import pytest
from django.db.backends.base.operations import BaseDatabaseOperations

from fl_server_core.append_only import purging
from fl_server_core.services.sign_in import successes
from fl_server_core.services.sign_in_limits import forget_refusals
from fl_server_core.services.trail_buffer import buffer

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup"}
UNITS = ("tests/core/", "tests/ai/", "tests/api/")
"""Here, a test that takes no database takes no other service either."""
# The image takes minutes to build: `make test-image` names it.
collect_ignore = [] if "TEST_IMAGE" in os.environ else ["image"]
left_out = pytest.StashKey[int]()


@pytest.fixture(autouse=True)
def _forget_sign_ins() -> Iterator[None]:
    """Each test has a database of its own, but what the process remembers of sign-ins would outlive it."""
    yield
    successes.clear()
    forget_refusals()
    buffer.clear()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, leave out what is the same on both databases: it has run on SQLite."""
    config.stash[left_out] = 0
    if os.environ.get("FL_TEST_DATABASE") != "postgres":
        return
    same = [item for item in items if _is_same_on_both(item)]
    items[:] = [item for item in items if item not in set(same)]
    config.hook.pytest_deselected(items=same)
    config.stash[left_out] = len(same)


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    """Say what was left out, and why."""
    count = config.stash[left_out]
    return f"{count} tests are the same on both databases: they run on SQLite only." if count else ""


def _is_same_on_both(item: pytest.Item) -> bool:
    if item.get_closest_marker("once"):
        return True
    takes_database = item.get_closest_marker("django_db") or DATABASE_FIXTURES & set(getattr(item, "fixturenames", ()))
    return not takes_database and item.nodeid.startswith(UNITS)


_execute_sql_flush = BaseDatabaseOperations.execute_sql_flush


def _flush_the_trail_too(operations: BaseDatabaseOperations, sql_list: Iterable[str]) -> None:
    """After a test that commits, Django empties all tables. The trail's refuse it otherwise."""
    with purging():
        _execute_sql_flush(operations, sql_list)


BaseDatabaseOperations.execute_sql_flush = _flush_the_trail_too  # type: ignore[assignment, method-assign]
