"""One dead and one silent among twenty participants, with 0.9 of the updates sufficing at the deadline."""

from __future__ import annotations

from statistics import median

from tests.faults.harness.cluster import Cluster
from tests.faults.harness.counting import injected, note
from tests.faults.harness.mode import IS_LONG
from tests.faults.harness.proxy import cut, silence
from tests.faults.harness.run import Run

PEOPLE = 20
DEAD, SILENT = 7, 13
LIVING = [number for number in range(1, PEOPLE + 1) if number not in (DEAD, SILENT)]
DEADLINE_SECONDS = 8.0
ROUNDS = 5 if IS_LONG else 1
OPTIONS = {"min_updates": 0.9, "round_deadline": DEADLINE_SECONDS, "skip_model_tests": True}


def notification_seconds(run: Run) -> float:
    """The median time from a notification's row to its acceptance, over those who live in both runs."""
    living = [run.site.people[number].id for number in LIVING]
    return median(seconds for person in living for seconds in run.site.ledger.delivery_seconds(run.id, person))


def test_the_others_are_notified_as_ever_and_each_round_closes_at_its_deadline(cluster: Cluster) -> None:
    cluster.wait_for_workers()
    all_well = Run(cluster, participants=PEOPLE, rounds=ROUNDS, options=OPTIONS).finish()
    all_well.check()
    run = Run(cluster, participants=PEOPLE, rounds=ROUNDS, options=OPTIONS, ways={DEAD: cut, SILENT: silence})
    injected("dead participant among 20")
    injected("silent participant among 20")
    run.finish()
    run.check(counted=[LIVING] * ROUNDS, gone=[DEAD, SILENT])
    closed = cluster.ledger.moments(run.id, "aggregated")
    opened = [*cluster.ledger.moments(run.id, "started"), *closed]
    lasted = [(end - begin).total_seconds() for begin, end in zip(opened, closed, strict=False)]
    assert min(lasted) >= DEADLINE_SECONDS
    with_two, without = notification_seconds(run), notification_seconds(all_well)
    note(
        f"Among 20 participants, one dead and one silent: the others heard after {with_two * 1000:.0f} ms (median), "
        f"{with_two / without:.2f} times as long as with all well; "
        f"rounds closed {max(lasted) - DEADLINE_SECONDS:.1f} s after their deadline at most."
    )
