"""The last two of three uploads at the same moment: each round is closed, and closed once."""

from __future__ import annotations

import threading
from collections import Counter

from tests.faults.harness.counting import injected, note
from tests.faults.harness.mode import IS_LONG
from tests.faults.harness.participant import Behaviour
from tests.faults.harness.run import Run
from tests.faults.harness.site import Site

TRIALS = 100 if IS_LONG else 10
PATIENCE = 60.0


def test_the_last_two_of_three_uploads_sent_at_once_close_the_round_exactly_once(site: Site) -> None:
    together = threading.Barrier(2, timeout=PATIENCE)
    run: list[Run] = []
    started = threading.Event()

    def wait_for_the_first(round: int) -> None:
        assert started.wait(PATIENCE)
        run[0].wait_until("the first update", lambda: site.ledger.submissions(run[0].id, "update", round) >= 1)
        together.wait()
        injected("last two uploads at once")

    last = Behaviour(before_upload=wait_for_the_first)
    run.append(Run(site, rounds=TRIALS, options={"skip_model_tests": True}, behaviours={2: last, 3: last}))
    started.set()
    run[0].finish().check()
    events = Counter(kind for kind, _round, _text in site.ledger.events(run[0].id))
    assert events["aggregated"] == TRIALS
    assert run[0].refusals() == []
    note(f"{type(site).__name__}: {TRIALS} trials, {run[0].round} rounds closed, {events['aggregated']} aggregations.")
