"""A bounded run of the fuzzer. FUZZ_MUTANTS says how many mutants."""

import os

import pytest

from tests.core.archive.fuzz import run


def test_every_mutant_of_a_real_file_is_accepted_or_refused_and_pairs_fit_as_an_observer_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mutants = int(os.environ.get("FUZZ_MUTANTS", "3000"))
    tally = run(mutants, seed=1, pairs=mutants // 5)
    with capsys.disabled():
        os.write(1, f"\n{tally}\n".encode())
    assert tally.accepted + tally.refused == tally.mutants == mutants
    assert tally.accepted > mutants // 50
    assert tally.refused > mutants // 5
    assert tally.pairs == mutants // 5
    assert tally.pairs // 10 < tally.fitting < tally.pairs
