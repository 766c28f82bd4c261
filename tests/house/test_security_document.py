"""What docs/security.md says is tested."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "docs/security.md").read_text(encoding="utf-8")
_HEADING = "| threat | answer | tested in |\n|---|---|---|\n"
ROWS = [row.strip("|").split("|") for row in TEXT.partition(_HEADING)[2].partition("\n\n")[0].splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_each_threat_has_an_answer_and_tests_that_exist(row: list[str]) -> None:
    _threat, answer, tested = row
    assert answer.strip()
    paths = re.findall(r"`([^`]+)`", tested)
    assert paths
    folder = REPOSITORY
    for path in paths:  # a name alone is in the folder of the one before it
        found = REPOSITORY / path if "/" in path else folder / path
        assert found.exists(), path
        folder = found.parent


def test_the_table_is_found() -> None:
    assert len(ROWS) > 15
