"""The embedded server, killed in the middle of what it does and started again on the same data folder."""

from __future__ import annotations

import threading

import pytest

from tests.builders.waiting import wait_until
from tests.faults.harness.counting import injected
from tests.faults.harness.laptop import Laptop
from tests.faults.harness.participant import Behaviour
from tests.faults.harness.proxy import StalledUpload
from tests.faults.harness.run import Run

WIDE = 1600
PEOPLE = 5


def test_killed_during_an_upload(laptop: Laptop) -> None:
    run = Run(laptop)
    for number in (1, 3):
        run.wait_for_round(number)
        stalled = StalledUpload()
        run.people[0].outbox.fault = stalled
        stalled.wait()
        laptop.server.kill()
        injected("embedded server killed during an upload")
        stalled.go_on.set()
        laptop.server.start()
    run.finish().check()
    assert run.refusals() == []


@pytest.mark.parametrize("round", [0, 2])
def test_killed_as_soon_as_a_round_has_begun(laptop: Laptop, round: int) -> None:
    run = Run(laptop)
    run.wait_for_round(round)
    laptop.server.kill()
    injected("embedded server killed as a round begins")
    laptop.server.start()
    run.finish().check()


def test_killed_while_it_aggregates(laptop: Laptop) -> None:
    behaviour = Behaviour(turns=threading.Semaphore(2))
    run = Run(
        laptop,
        participants=PEOPLE,
        rounds=2,
        width=WIDE,
        options={"skip_model_tests": True},
        behaviours=dict.fromkeys(range(1, PEOPLE + 1), behaviour),
    )
    wait_until("the claim", lambda: laptop.ledger.is_claimed(run.id), pause=0.001)
    laptop.server.kill()
    assert laptop.ledger.is_claimed(run.id)
    injected("embedded server killed while it aggregates")
    laptop.server.start()
    run.finish().check()
    assert run.times("taken_over") == 1
    laptop.inside("remove-orphans", "0")
    assert laptop.unnamed_files() == set()
