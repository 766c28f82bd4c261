"""Participants that do not do what is asked of them, on both kinds of servers."""

from __future__ import annotations

import threading

import pytest

from tests.faults.harness.counting import injected
from tests.faults.harness.mode import IS_LONG, ROUNDS
from tests.faults.harness.participant import Behaviour
from tests.faults.harness.proxy import Fault, cut, silence
from tests.faults.harness.run import Run
from tests.faults.harness.site import Site

LATE_SECONDS = 60.0 if IS_LONG else 2.0
DEADLINE_SECONDS = 4.0
DEADLINE_ROUNDS = 10 if IS_LONG else 1
PATIENCE = 60.0
ALL_BUT_ONE = {"min_updates": 2, "round_deadline": DEADLINE_SECONDS, "skip_model_tests": True}


AWAY: list[tuple[str, Fault | None]] = [
    ("participant that accepts connections and says nothing", silence),
    ("participant whose connections break", cut),
    ("participant that hears and never answers", None),
]


@pytest.mark.parametrize(("kind", "fault"), AWAY if IS_LONG else AWAY[:1])
def test_a_round_goes_on_at_its_deadline_without_who_never_answers(site: Site, kind: str, fault: Fault | None) -> None:
    behaviours, ways = {2: Behaviour(answers=False)}, {} if fault is None else {2: fault}
    run = Run(site, rounds=DEADLINE_ROUNDS, options=ALL_BUT_ONE, behaviours=behaviours, ways=ways)
    injected(kind)
    run.finish()
    run.check(counted=[[1, 3]] * DEADLINE_ROUNDS, gone=[] if fault is None else [2])


def test_who_rejects_a_round_leaves_and_its_earlier_updates_have_counted(site: Site) -> None:
    behaviour = Behaviour(rejects=frozenset({4}))
    run = Run(site, options={"model_test_after_each_round": False}, behaviours={3: behaviour})
    injected("round rejected")
    run.finish()
    run.check(counted=[[1, 2, 3]] * 4 + [[1, 2]] * (ROUNDS - 4), gone=[3])
    assert run.times("participant_rejected") == 1
    assert run.attendance(3).refusals == []


@pytest.mark.parametrize("number", [0, 2])
def test_a_participant_that_is_killed_in_the_middle_of_a_round_takes_it_up_again(site: Site, number: int) -> None:
    working, is_killed = threading.Event(), threading.Event()

    def hold(round: int) -> None:
        if round == number and not working.is_set():
            working.set()
            assert is_killed.wait(PATIENCE)

    run = Run(site, rounds=4, options={"skip_model_tests": True}, behaviours={1: Behaviour(before_upload=hold)})
    assert working.wait(PATIENCE), run.about()
    run.people[0].restart()
    injected("participant killed while it trains")
    is_killed.set()
    run.finish().check()
    assert run.refusals() == []


def test_an_answer_that_takes_its_time_is_waited_for(site: Site) -> None:
    run = Run(
        site,
        options={"model_test_after_each_round": False},
        behaviours={1: Behaviour(delays={3: LATE_SECONDS}), 2: Behaviour(delays={4: 1.0})},
    )
    injected("late answer", 2)
    run.finish().check()
    assert run.refusals() == []


def test_a_straggler_is_refused_for_the_round_that_it_missed_and_counts_in_the_next_one(site: Site) -> None:
    late = DEADLINE_SECONDS + 2.0
    run = Run(site, rounds=3, options=ALL_BUT_ONE, behaviours={1: Behaviour(delays={1: late})})
    injected("late answer")
    run.finish()
    run.check(counted=[[1, 2, 3], [2, 3], [1, 2, 3]])
    [refusal] = run.refusals()
    assert "400" in refusal
    assert "not currently in round 1" in refusal
