"""What every test may use, which tests run in the second pass, and what is printed at the end."""

import os
from collections.abc import Iterable, Iterator

# Before torch is imported: workers and servers share the processors, and each call would wait for idle threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from _pytest.terminal import TerminalReporter
from django.db.backends.base.operations import BaseDatabaseOperations
from pytest_django import Settings
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile
from xdist.remote import Producer
from xdist.workermanage import WorkerController

from fl_server_core.append_only import purging
from fl_server_core.services.sign_in import successes
from fl_server_core.services.sign_in_limits import forget_refusals
from fl_server_core.services.trail_buffer import buffer
from tests.faults.harness import counting
from tests.parallel import Groups, rank

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup"}
UNITS = ("tests/core/", "tests/ai/", "tests/api/")
"""Here, a test that takes no database takes no other service either."""
# The image takes minutes to build: `make test-image` names it.
collect_ignore = [] if "TEST_IMAGE" in os.environ else ["image"]
closing_lines = pytest.StashKey[list[str]]()
"""What is printed at the end, of all workers."""


@pytest.fixture(autouse=True)
def _forget_sign_ins() -> Iterator[None]:
    """Each test has a database of its own, but what the process remembers of sign-ins would outlive it."""
    yield
    successes.clear()
    forget_refusals()
    buffer.clear()


@pytest.fixture
def consent(settings: Settings) -> None:
    """Whom an actor adds is asked first."""
    settings.FL_ENROLMENT = "consent"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[closing_lines] = []


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    """With several workers (`-n 3`)."""
    return Groups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, leave out what is the same on both databases: it has run on SQLite."""
    if hasattr(config, "workerinput"):
        items.sort(key=rank)
    if os.environ.get("FL_TEST_DATABASE") != "postgres":
        return
    same = [item for item in items if _is_same_on_both(item)]
    items[:] = [item for item in items if item not in set(same)]
    config.hook.pytest_deselected(items=same)
    if same:
        sentence = f"{len(same)} tests are the same on both databases: they run on SQLite only."
        config.stash[closing_lines].append(sentence)


def pytest_sessionfinish(session: pytest.Session) -> None:
    lines = session.config.stash[closing_lines]
    lines += counting.report()
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["closing_lines"] = lines


def pytest_testnodedown(node: WorkerController) -> None:
    """A worker has ended. One that crashed has said nothing."""
    lines = node.config.stash[closing_lines]
    lines += [line for line in getattr(node, "workeroutput", {}).get("closing_lines", []) if line not in lines]


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """How many tests were left out, how many faults were injected, and what was measured."""
    for line in config.stash[closing_lines]:
        terminalreporter.write_line(line)


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


_add_files_from_finders = WhiteNoiseMiddleware.add_files_from_finders
_static_files: dict[tuple[str, int], dict[str, StaticFile]] = {}


def _add_static_files_once(middleware: WhiteNoiseMiddleware) -> None:
    """Every test client has a handler of its own, which would look up all static files again: 180, in 50 ms."""
    key = (middleware.static_prefix, middleware.max_age)
    if key not in _static_files:
        _add_files_from_finders(middleware)
        _static_files[key] = middleware.files
    middleware.files = _static_files[key]


WhiteNoiseMiddleware.add_files_from_finders = _add_static_files_once
