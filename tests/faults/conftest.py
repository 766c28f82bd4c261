"""The servers under test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults.harness.cluster import Cluster, missing_programs
from tests.faults.harness.laptop import Laptop
from tests.faults.harness.site import Site

PEOPLE = 20


@pytest.fixture(scope="session", autouse=True)
def _once_in_a_run_of_both_databases() -> None:
    """The servers have databases of their own: what the suite itself runs on makes no difference."""
    if os.environ.get("FL_TEST_DATABASE", "sqlite") != "sqlite":
        pytest.skip("the fault suite starts services of its own; it runs in the SQLite pass")


@pytest.fixture(scope="session")
def _cluster() -> Iterator[Cluster]:
    missing = " ".join(missing_programs())
    if missing and not os.environ.get("REQUIRE_SERVICES"):
        pytest.skip(missing)
    assert not missing, missing
    cluster = Cluster(PEOPLE)
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def _laptop() -> Iterator[Laptop]:
    laptop = Laptop(PEOPLE)
    yield laptop
    laptop.close()


@pytest.fixture
def cluster(_cluster: Cluster) -> Iterator[Cluster]:
    """PostgreSQL, Redis, two web processes, two workers and beat: all up."""
    _cluster.heal()
    yield _cluster
    _unhand(_cluster)


@pytest.fixture
def laptop(_laptop: Laptop) -> Iterator[Laptop]:
    """The embedded server: up."""
    _laptop.heal()
    yield _laptop
    _unhand(_laptop)


@pytest.fixture(params=["cluster", "laptop"])
def site(request: pytest.FixtureRequest) -> Site:
    """Each of the two servers in turn."""
    site = request.getfixturevalue(request.param)
    assert isinstance(site, Site)
    return site


def _unhand(site: Site) -> None:
    """What a test has left undone must not meet the next one."""
    for person in site.people:
        person.inbox.fault = person.outbox.fault = None
        person.leave()
