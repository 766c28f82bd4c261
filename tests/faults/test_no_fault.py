"""Without faults: what all other runs are compared with."""

from __future__ import annotations

from tests.faults.harness.run import Run
from tests.faults.harness.site import Site


def test_a_run_without_faults_comes_to_the_simulated_weights(site: Site) -> None:
    run = Run(site).finish()
    run.check()
    assert run.refusals() == []
    assert site.unnamed_files() == set()
