"""All kinds of faults mixed, as a seed has it."""

from __future__ import annotations

import os
import time

import pytest

from tests.faults.harness.cluster import Cluster
from tests.faults.harness.counting import note
from tests.faults.harness.driver import ClusterDriver, Driver, LaptopDriver
from tests.faults.harness.laptop import Laptop
from tests.faults.harness.mode import IS_LONG
from tests.faults.harness.participant import Behaviour
from tests.faults.harness.run import Run
from tests.faults.harness.site import Site

SEED = int(os.environ.get("FAULTS_SEED", "1"))
RUNS = 10 if IS_LONG else 1
FAULTS = 30 if IS_LONG else 12
FAULTS_IN_ONE_PROCESS = 30 if IS_LONG else 7
# New runs are begun for so long; a run lasts a minute or two.
BUDGET_SECONDS = 270.0
ROUNDS = 10
PEOPLE = 3
PAUSES = (0.1, 1.0)
LIMIT_SECONDS = 300.0
started: dict[str, float] = {}


def has_time_left(kind: str) -> bool:
    return time.monotonic() - started.setdefault(kind, time.monotonic()) < BUDGET_SECONDS


def begin(site: Site, seed: int) -> Run:
    """Every other training has SWAG rounds; each participant takes half a second, so that there is time for faults."""
    behaviour = Behaviour(delays=dict.fromkeys(range(ROUNDS), 0.5))
    people = dict.fromkeys(range(1, PEOPLE + 1), behaviour)
    return Run(site, participants=PEOPLE, rounds=ROUNDS, swag=seed % 2 == 1, behaviours=people)


def see_through(driver: Driver, faults: int) -> None:
    try:
        driver.drive(faults, PAUSES)
        driver.run.finish(LIMIT_SECONDS).check()
    except AssertionError as error:
        raise AssertionError("\n".join([*driver.told, str(error)])) from error
    # The files of rounds that a killed process had begun.
    driver.run.site.inside("remove-orphans", "0")
    assert driver.run.site.unnamed_files() == set()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_a_training_survives_all_kinds_of_faults_on_many_processes(cluster: Cluster, seed: int) -> None:
    if not has_time_left("cluster"):
        pytest.skip(f"the {BUDGET_SECONDS:.0f} s for mixed faults are used up")
    driver = ClusterDriver(begin(cluster, seed), cluster, seed)
    see_through(driver, FAULTS)
    note(f"Mixed faults on many processes, seed {seed}: {'; '.join(driver.told)}.")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_a_training_survives_all_kinds_of_faults_in_one_process(laptop: Laptop, seed: int) -> None:
    if not has_time_left("laptop"):
        pytest.skip(f"the {BUDGET_SECONDS:.0f} s for mixed faults are used up")
    driver = LaptopDriver(begin(laptop, seed), laptop, seed)
    see_through(driver, FAULTS_IN_ONE_PROCESS)
    note(f"Mixed faults in one process, seed {seed}: {'; '.join(driver.told)}.")
